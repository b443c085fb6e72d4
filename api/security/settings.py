"""What the operator says about security: issuers, clients, the local issuer; and what is refused."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from measurewise.api.security.errors import SecuritySettingsError
from measurewise.api.security.scopes import Scopes

EVERY_ORGANIZATION: Final = "*"
"""The organisation that stands for all of them, where the settings allow a token to say so."""


def _words(value: Any) -> Any:
    """A list may be written as one string of words, as OAuth writes scopes."""
    return tuple(value.split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class IssuerSettings(BaseModel):
    """An authorization server whose tokens are accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """As it stands in the tokens' ``iss``, to the letter."""
    audience: str | None = None
    """What the tokens' ``aud`` must hold; the FHIR base when not given."""
    jwks_uri: str | None = None
    """Where its keys are; discovered when not given."""
    organizations: Words = ()
    """The organisations of a token that names none itself."""
    may_grant_every_organization: bool = False
    """Whether the value ``*`` of the organisation claim is believed."""


class ClientSettings(BaseModel):
    """A registered client: a backend service (a key, no redirect) or an app (redirects, a key or none)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str
    name: str = ""
    jwks: dict[str, Any] | None = None
    jwks_url: str | None = None
    scopes: Words = ()
    organizations: Words = ()
    redirect_uris: Words = ()
    issuer: str | None = None
    """The issuer that knows the client; None for the local one."""

    @property
    def has_keys(self) -> bool:
        """Whether the client signs in with a key."""
        return self.jwks is not None or self.jwks_url is not None


class UserSettings(BaseModel):
    """A person who can sign in at the local issuer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str
    password: SecretStr
    name: str = ""
    fhir_user: str | None = None
    """``Practitioner/…`` or ``Patient/…``; a patient sees that patient only."""
    scopes: Words = (
        "user/*.cruds",
        "patient/*.cruds",
        "openid",
        "fhirUser",
        "launch/patient",
        "offline_access",
    )
    organizations: Words = ()
    patient: str | None = None
    """The id of the patient in context; without one, the sign-in page asks where an app wants one."""


class LocalIssuerSettings(BaseModel):
    """The built-in issuer, for development and tests only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    keys: Path = Path("keys")
    """The folder of its signing keys, made at the first start."""
    users: tuple[UserSettings, ...] = ()
    access_seconds: int = Field(default=300, gt=0, le=3600)
    refresh_seconds: int = Field(default=86_400, gt=0)


class SecuritySettings(BaseModel):
    """Everything that decides who may do what. ``check()`` says whether the server may start with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: Literal["development", "production"] = "development"
    base_url: str = "http://127.0.0.1:8000"
    """The address by which clients know this server, without a path below it such as ``/fhir``."""
    issuers: tuple[IssuerSettings, ...] = ()
    local_issuer: LocalIssuerSettings = LocalIssuerSettings()
    clients: tuple[ClientSettings, ...] = ()
    organization_claim: str = "organization"
    """The claim with one organisation's id or a list of them."""
    patient_claim: str = "patient"
    """The claim with the id of the patient in context."""
    leeway_seconds: int = Field(default=30, ge=0, le=300)
    """By how much the issuer's clock may differ."""
    jwks_seconds: int = Field(default=600, ge=10)
    """How long fetched keys are used before they are fetched again."""
    trusted_hosts: tuple[str, ...] = ()
    """Host names, besides those of loopback, by which an open development server may be asked."""
    browser_origins: tuple[str, ...] = ()
    """Origins of the apps that may ask from a browser (CORS), each exactly as the browser names it."""

    @property
    def open(self) -> bool:
        """Whether nobody signs in: no issuer at all, which is for one's own machine only."""
        return not self.issuers and not self.local_issuer.enabled

    @property
    def fhir_url(self) -> str:
        """The FHIR base, which is also the audience of tokens unless an issuer says otherwise."""
        return self.base_url.rstrip("/") + "/fhir"

    @property
    def local_issuer_url(self) -> str:
        """The local issuer's own name, below which its endpoints are."""
        return self.base_url.rstrip("/") + "/auth"

    def client(self, client_id: str, issuer: str | None = None) -> ClientSettings | None:
        """The registered client of an issuer (None: the local one)."""
        return next((c for c in self.clients if c.client_id == client_id and c.issuer == issuer), None)

    def check(self) -> None:
        """Raises SecuritySettingsError where the server must not start with these settings."""
        production = self.environment == "production"
        if production and self.local_issuer.enabled:
            raise SecuritySettingsError(
                "the built-in local issuer does not run in production.",
                where="security.local_issuer.enabled",
                mend="Switch it off and name your organisation's issuer under security.issuers.",
            )
        if production and not self.issuers:
            raise SecuritySettingsError(
                "production needs an issuer: without one, everybody could do everything.",
                where="security.issuers",
                mend="Name the authorization server whose tokens are to be accepted.",
            )
        _check_address(self.base_url, "security.base_url", production=production)
        for place, origin in enumerate(self.browser_origins):
            _check_origin(origin, f"security.browser_origins[{place}]", production=production)
        seen: set[str] = {self.local_issuer_url} if self.local_issuer.enabled else set()
        for place, issuer in enumerate(self.issuers):
            where = f"security.issuers[{place}]"
            _check_address(issuer.url, f"{where}.url", production=production)
            if issuer.jwks_uri is not None:
                _check_address(issuer.jwks_uri, f"{where}.jwks_uri", production=production)
            if issuer.url in seen:
                raise SecuritySettingsError(f"the issuer {issuer.url} is named twice.", where=where)
            if EVERY_ORGANIZATION in issuer.organizations and not issuer.may_grant_every_organization:
                raise SecuritySettingsError(
                    "'*' as the default organisation gives every token all of them.",
                    where=f"{where}.organizations",
                    mend="Name the organisations, or set may_grant_every_organization as well.",
                )
            seen.add(issuer.url)
        self._check_clients(production)
        self._check_users()

    def _check_clients(self, production: bool) -> None:
        known = {issuer.url for issuer in self.issuers}
        seen: set[tuple[str | None, str]] = set()
        for place, client in enumerate(self.clients):
            where = f"security.clients[{place}]"
            if (client.issuer, client.client_id) in seen:
                raise SecuritySettingsError(f"the client '{client.client_id}' is there twice.", where=where)
            seen.add((client.issuer, client.client_id))
            if client.issuer is not None and client.issuer not in known:
                raise SecuritySettingsError(
                    f"the client's issuer {client.issuer} is not under security.issuers.", where=where
                )
            if client.issuer is None and not client.has_keys and not client.redirect_uris:
                raise SecuritySettingsError(
                    f"the client '{client.client_id}' has neither keys nor a redirect.",
                    where=where,
                    mend="A backend service needs jwks or jwks_url, an app needs redirect_uris.",
                )
            if client.jwks_url is not None:
                _check_address(client.jwks_url, f"{where}.jwks_url", production=production)
            _check_scopes(client.scopes, f"{where}.scopes")

    def _check_users(self) -> None:
        seen: set[str] = set()
        for place, user in enumerate(self.local_issuer.users):
            where = f"security.local_issuer.users[{place}]"
            if user.username in seen:
                raise SecuritySettingsError(f"the user '{user.username}' is there twice.", where=where)
            seen.add(user.username)
            if (user.fhir_user or "").startswith("Patient/") and EVERY_ORGANIZATION in user.organizations:
                raise SecuritySettingsError(
                    "a patient cannot have every organisation.",
                    where=f"{where}.organizations",
                    mend="Name the organisations that hold the patient's data.",
                )
            _check_scopes(user.scopes, f"{where}.scopes")


def _check_scopes(scopes: tuple[str, ...], where: str) -> None:
    for scope in Scopes.parse(scopes).other:
        if "/" in scope and not scope.startswith("launch/"):
            raise SecuritySettingsError(
                f"'{scope}' is no SMART scope.", where=where, mend="Write one like system/Patient.rs."
            )


def _check_address(url: str, where: str, *, production: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SecuritySettingsError(f"'{url}' is no http(s) address without query and fragment.", where=where)
    if production and parts.scheme != "https" and not is_loopback(parts.hostname):
        raise SecuritySettingsError(
            f"'{url}' is not https, which production asks for.", where=where, mend="Use https."
        )


def _check_origin(origin: str, where: str, *, production: bool) -> None:
    _check_address(origin, where, production=production)
    parts = urlsplit(origin)
    if origin != f"{parts.scheme}://{parts.netloc}".lower() or "*" in origin or "@" in origin:
        raise SecuritySettingsError(
            f"'{origin}' is no origin.", where=where, mend="Write https://app.example.org, with no path."
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def allowed_bind(host: str, settings: SecuritySettings) -> None:
    """Raises SecuritySettingsError where the server must not listen on ``host``.

    With no issuer configured, whoever reaches the server may do everything; so only this machine may.
    """
    if settings.open and not is_loopback(host):
        raise SecuritySettingsError(
            f"no issuer is configured, so the server listens on this machine only, not on '{host}'.",
            where="host",
            mend="Bind to 127.0.0.1, or configure an issuer under security.issuers.",
        )
