"""The API's own documentation pages, which work without a network: what they load, this server sends."""

from __future__ import annotations

from importlib import resources
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

PATH: Final = "/docs"
_KINDS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Measurewise API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}/docs/swagger-ui.css">
</head>
<body data-openapi="{root}{openapi}">
<div id="swagger-ui"></div>
<script src="{root}/docs/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js"></script>
</body>
</html>
"""
# The browser itself keeps the page from asking anybody else; Swagger UI writes styles and embeds its icons.
_ONLY_HERE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def mount_documentation(app: FastAPI) -> None:
    """``/docs``: every operation with its parameters, to read and to try (see ``swagger_ui/README.md``)."""
    folder = resources.files("measurewise.api") / "swagger_ui"
    files = {name: (folder / name).read_bytes() for name in _KINDS}

    @app.get(PATH, include_in_schema=False)
    async def page(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        text = _PAGE.format(root=root, openapi=app.openapi_url)
        return HTMLResponse(text, headers={"Content-Security-Policy": _ONLY_HERE})

    @app.get(PATH + "/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in _KINDS:
            return Response(status_code=404)
        headers = {"Cache-Control": "public, max-age=86400"}
        return Response(files[name], media_type=_KINDS[name], headers=headers)
