"""The server's settings, read once from the environment (``MEASUREWISE_...``) or a ``.env`` file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from measurewise.api.security.settings import SecuritySettings


class SourceSecrets(BaseModel):
    """How the server signs in at a source, and how the source proves its notifications."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr | None = None
    user: str | None = None
    password: SecretStr | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    key_file: Path | None = None
    key_id: str | None = None
    key_algorithm: Literal["ES384", "RS384"] = "ES384"
    hook_secret: SecretStr | None = None


class Settings(BaseSettings):
    """What the server is told. Nested settings are written with two underscores.

    ``MEASUREWISE_DATABASE=postgresql+psycopg://user@host/name`` chooses PostgreSQL;
    ``MEASUREWISE_SECURITY__ENVIRONMENT=production`` the rules of a site that serves real patients.
    """

    model_config = SettingsConfigDict(
        env_prefix="MEASUREWISE_", env_nested_delimiter="__", env_file=".env", extra="ignore"
    )

    data_folder: Path = Field(default=Path("measurewise-data"), description="Where files are kept.")
    database: str | None = Field(
        default=None, description="An SQLAlchemy URL; a SQLite file in the data folder when not given."
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    organization: str = Field(
        default="default", description="The operator's: keeps the content, owns what an operator writes."
    )
    shipped_content: bool = Field(
        default=True, description="Whether an empty store is given the measures that ship."
    )
    matching: Literal["auto", "label", "structure"] = "auto"
    missing_valuesets: Literal["error", "empty"] = "error"
    reporter: str | None = Field(default=None, description="Who reports, such as Organization/1.")
    zone_minutes: int = Field(default=0, description="The offset of dates without one, in minutes.")
    inline_patients: int = Field(
        default=100, ge=0, description="Up to so many patients are evaluated within the request."
    )
    wait_seconds: float = Field(
        default=3600, gt=0, description="How long a request without respond-async waits for a job."
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=0, description="Worker processes that serve starts."
    )
    largest_body: int = Field(default=256 * 1024 * 1024, description="Bytes of a request's body.")
    export_hours: float = Field(default=24, gt=0, description="How long the files of an export are kept.")
    import_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that imports may fetch from; in development this machine's own besides.",
    )
    subscription_seconds: float = Field(
        default=300, gt=0, description="How often the Subscriptions at sources are looked after."
    )
    sources: dict[str, SourceSecrets] = Field(
        default_factory=dict,
        description="Secrets of sources by name (MEASUREWISE_SOURCES__CLINIC__TOKEN); a hyphen is _.",
    )
    security: SecuritySettings = Field(default_factory=SecuritySettings)

    @property
    def database_url(self) -> str:
        """The database's URL."""
        return self.database or f"sqlite:///{(self.data_folder / 'measurewise.db').absolute()}"
