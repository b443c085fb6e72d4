"""The page on which a user of the local issuer signs in: plain HTML without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem; }
label { display: block; margin-top: 1rem; } input { font: inherit; width: 100%; box-sizing: border-box; }
button { font: inherit; margin-top: 1.5rem; padding: .4rem 1.2rem; } .error { color: #a40000; }
"""


def sign_in_page(
    parameters: Mapping[str, str],
    *,
    app: str,
    scopes: Sequence[str],
    asks_patient: bool,
    error: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The form; ``parameters`` are those of the authorization request, sent back with it."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in parameters.items()
    )
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    said = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    patient = '<label>Patient id <input name="patient" required></label>' if asks_patient else ""
    body = (
        f"<h1>Sign in</h1><p><strong>{escape(app)}</strong> asks for:</p><ul>{asked}</ul>{said}"
        f'<form method="post" autocomplete="off">{hidden}'
        '<label>User name <input name="username" required autofocus></label>'
        '<label>Password <input name="password" type="password" required></label>'
        f'{patient}<button type="submit">Sign in and allow</button></form>'
        "<p>This is the built-in issuer for development.</p>"
    )
    return _page("Sign in", body, status)


def error_page(text: str) -> HTMLResponse:
    """What is shown where the app cannot be told, since its address is not to be believed."""
    return _page("Not possible", f'<h1>Not possible</h1><p class="error">{escape(text)}</p>', 400)


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>",
        status_code=status,
        headers=HEADERS,
    )
