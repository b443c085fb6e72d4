"""Signing in from the command line: secrets come from the environment alone."""

from pathlib import Path
from typing import Any

import pytest

from measurewise.cli.pull import sign_in
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.signin import BackendServices, Basic, Bearer, ClientCredentials


def test_every_way_to_sign_in_has_its_variables(tmp_path: Path) -> None:
    client = {"MEASUREWISE_CLIENT_ID": "c"}
    assert sign_in("none", {}) is None
    assert type(sign_in("bearer", {"MEASUREWISE_TOKEN": "t"})) is Bearer
    assert type(sign_in("basic", {"MEASUREWISE_USER": "u", "MEASUREWISE_PASSWORD": "p"})) is Basic
    credentials = {"MEASUREWISE_TOKEN_URL": "https://x.org/t", "MEASUREWISE_CLIENT_SECRET": "s", **client}
    assert type(sign_in("client-credentials", credentials)) is ClientCredentials
    key = tmp_path / "key.pem"
    key.write_text(_key())
    services = sign_in("backend-services", {"MEASUREWISE_KEY_FILE": str(key), **client})
    assert type(services) is BackendServices


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        ("bearer", {}, "MEASUREWISE_TOKEN"),
        ("basic", {"MEASUREWISE_USER": "u"}, "MEASUREWISE_PASSWORD"),
        ("client-credentials", {}, "MEASUREWISE_TOKEN_URL, MEASUREWISE_CLIENT_ID, MEASUREWISE_CLIENT_SECRET"),
        (
            "backend-services",
            {"MEASUREWISE_CLIENT_ID": "c", "MEASUREWISE_KEY_FILE": "/nowhere"},
            "cannot be read",
        ),
    ],
)
def test_what_the_environment_lacks_is_said(name: Any, variables: dict[str, str], said: str) -> None:
    with pytest.raises(MeasurewiseError, match=said):
        sign_in(name, variables)


def _key() -> str:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
