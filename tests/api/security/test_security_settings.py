"""Settings under which the server must not start are refused before it does."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from outside_issuer import app_with, ask

from measurewise.api.security.errors import SecuritySettingsError
from measurewise.api.security.settings import SecuritySettings, allowed_bind, is_loopback
from measurewise.api.security.signing import SigningKeys
from measurewise.api.settings import Settings

SITE = {"environment": "production", "base_url": "https://measures.example.org"}
ISSUER = {"url": "https://sign-in.example.org"}


def settings(**given: Any) -> SecuritySettings:
    return SecuritySettings.model_validate(given)


def test_what_a_site_needs_is_accepted() -> None:
    settings(**SITE, issuers=[ISSUER]).check()
    settings().check()
    settings(local_issuer={"enabled": True}).check()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**SITE, "issuers": [ISSUER], "local_issuer": {"enabled": True}}, "does not run in production"),
        ({**SITE, "local_issuer": {"enabled": True}}, "does not run in production"),
        (SITE, "production needs an issuer"),
        ({**SITE, "issuers": [{"url": "http://sign-in.example.org"}]}, "not https"),
        ({**SITE, "issuers": [ISSUER | {"jwks_uri": "http://sign-in.example.org/k"}]}, "not https"),
        ({**SITE, "base_url": "http://measures.example.org", "issuers": [ISSUER]}, "not https"),
        ({"issuers": [{"url": "sign-in"}]}, "no http"),
        ({"issuers": [{"url": "file:///etc/passwd"}]}, "no http"),
        ({"issuers": [{"url": "https://a.example.org?x=1"}]}, "no http"),
        ({"issuers": [ISSUER, ISSUER]}, "named twice"),
        ({"issuers": [ISSUER | {"organizations": "*"}]}, "all of them"),
        ({"clients": [{"client_id": "registry"}]}, "neither keys nor a redirect"),
        ({"clients": [{"client_id": "r", "jwks": {"keys": []}}] * 2}, "there twice"),
        ({"clients": [{"client_id": "r", "jwks": {}, "scopes": "system/Patient.sr"}]}, "no SMART scope"),
        ({"clients": [{"client_id": "r", "issuer": "https://unknown.example.org"}]}, "not under"),
        ({"local_issuer": {"users": [{"username": "u", "password": "p"}] * 2}}, "there twice"),
        (
            {
                "local_issuer": {
                    "users": [
                        {"username": "u", "password": "p", "fhir_user": "Patient/p", "organizations": "*"}
                    ]
                }
            },
            "cannot have every organisation",
        ),
    ],
)
def test_settings_that_do_not_hold_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SecuritySettingsError, match=said) as refused:
        settings(**given).check()
    assert refused.value.where.startswith("security.")


def test_the_app_does_not_come_up_with_a_local_issuer_in_production(keys_folder: Path) -> None:
    local = {"enabled": True, "keys": keys_folder}
    with pytest.raises(SecuritySettingsError, match="does not run in production"):
        app_with(settings(**SITE, issuers=[ISSUER], local_issuer=local))
    assert not keys_folder.exists()


def test_the_settings_of_the_documentation_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    site, local = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)

    def read(text: str) -> SecuritySettings:
        monkeypatch.chdir(tmp_path)  # away from any .env file
        for name, value in re.findall(r"^(MEASUREWISE_\w+)=('[^']*'|\S+)", text, re.MULTILINE):
            monkeypatch.setenv(name, value.strip("'"))
        found = Settings().security
        for name in re.findall(r"^(MEASUREWISE_\w+)=", text, re.MULTILINE):
            monkeypatch.delenv(name)
        found.check()
        return found

    production = read(site)
    assert production.environment == "production"
    assert production.issuers[0].url == "https://sign-in.example.org/realms/practice"
    development = read(local)
    assert development.local_issuer.users[0].organizations == ("default",)
    assert development.clients[0].scopes == ("system/*.rs",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_an_open_server_listens_on_loopback(host: str) -> None:
    assert is_loopback(host)
    allowed_bind(host, settings())


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "192.168.1.7", "localhost.example.org", "127.0.0.1.example.org", "128.0.0.1"],  # noqa: S104
)
def test_an_open_server_listens_nowhere_else(host: str) -> None:
    with pytest.raises(SecuritySettingsError, match="this machine only"):
        allowed_bind(host, settings())
    allowed_bind(host, settings(issuers=[ISSUER]))
    allowed_bind(host, settings(local_issuer={"enabled": True}))


def test_on_an_open_server_everybody_at_the_machine_is_the_operator() -> None:
    app = app_with(settings())

    async def go() -> Any:
        async with ask(app, "http://127.0.0.1:8000") as client:
            return (await client.get("/export")).json()

    assert asyncio.run(go()) == {
        "subject": "operator",
        "client": "local",
        "organizations": None,
        "patient": None,
        "search": [],
    }


def test_an_open_server_answers_no_page_from_elsewhere() -> None:
    """DNS rebinding and cross-site requests: the browser is at this machine, the page is not."""
    app = app_with(settings(trusted_hosts=("gateway",)))

    async def status(base: str, **headers: str) -> int:
        async with ask(app, base) as client:
            return (await client.get("/me", headers=headers)).status_code

    assert asyncio.run(status("http://localhost:8000")) == 200
    assert asyncio.run(status("http://gateway:8000")) == 200
    assert asyncio.run(status("http://localhost:8000", origin="http://localhost:8000")) == 200
    assert asyncio.run(status("http://evil.example.org:8000")) == 401
    assert asyncio.run(status("http://localhost:8000", origin="https://evil.example.org")) == 401
    assert asyncio.run(status("http://localhost:8000", origin="null")) == 401
    assert asyncio.run(status("http://localhost:8000", origin="http://[::1")) == 401
    assert asyncio.run(status("http://localhost:8000", host="[::1")) == 401
    assert asyncio.run(status("http://localhost:8000", host="")) == 401


def test_an_open_server_answers_no_other_machine() -> None:
    app = app_with(settings())

    async def status(peer: str) -> int:
        transport = httpx.ASGITransport(app, client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/me")).status_code

    assert asyncio.run(status("127.0.0.1")) == 200
    assert asyncio.run(status("192.168.1.7")) == 401


def test_signing_keys_are_made_once_and_kept_to_their_owner(keys_folder: Path) -> None:
    first = SigningKeys(keys_folder).public()
    assert SigningKeys(keys_folder).public() == first
    (file,) = keys_folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all("d" not in key for key in first)


@pytest.mark.skipif(os.name != "posix", reason="file modes are a matter of POSIX")
def test_signing_keys_that_others_can_read_are_refused(keys_folder: Path) -> None:
    SigningKeys(keys_folder)
    (file,) = keys_folder.iterdir()
    file.chmod(0o640)
    with pytest.raises(SecuritySettingsError, match="read by others"):
        SigningKeys(keys_folder)


def test_signing_keys_that_cannot_be_read_are_refused(keys_folder: Path) -> None:
    SigningKeys(keys_folder)
    (file,) = keys_folder.iterdir()
    file.write_text('{"keys": []}')
    with pytest.raises(SecuritySettingsError, match="cannot be read"):
        SigningKeys(keys_folder)


def test_a_password_does_not_show_in_the_settings() -> None:
    users = [{"username": "nora", "password": "correct horse"}]
    shown = settings(local_issuer={"enabled": True, "users": users})
    assert "correct horse" not in repr(shown)
    assert "correct horse" not in shown.model_dump_json()
