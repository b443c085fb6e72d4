"""The tables. A row's ``organization`` says whose it is; '' is shared by all (see ``access``)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is an INTEGER.
_KEY = BigInteger().with_variant(Integer, "sqlite")
_MOMENT = DateTime(timezone=True)

organizations: Final = Table(
    "organizations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("tin", String(9), nullable=True),
    Column("created", _MOMENT, nullable=False),
)

resources: Final = Table(
    "resources",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("organization", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", _MOMENT, nullable=False),
    Column("deleted", Boolean, nullable=False),
    # The patient in whose compartment the resource is; a Patient is in its own.
    Column("patient", String(64), nullable=True),
    # The JSON as it came, with id and meta.versionId/lastUpdated of this store.
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("organization", "type", "id"),
    # With the last three it tells revisions of patients' data without the rows, which are large.
    Index("ix_resources_compartment", "organization", "patient", "type", "deleted", "version", "key"),
    # Where no organisation is named: an operator reads everybody's.
    Index("ix_resources_name", "type", "id"),
    Index("ix_resources_changes", "organization", "type", "updated"),
)

resource_versions: Final = Table(
    "resource_versions",
    metadata,
    Column("resource", _KEY, ForeignKey("resources.key", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("updated", _MOMENT, nullable=False),
    Column("method", String(6), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

search_values: Final = Table(
    "search_values",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("resource", _KEY, ForeignKey("resources.key", ondelete="CASCADE"), nullable=False, index=True),
    Column("parameter", String(64), nullable=False),
    # A token's system; the type that a reference points to; a string as it is written.
    Column("system", Text, nullable=True),
    # A code, a reference's id, a URI, or a string without case and accents; for dates None.
    Column("value", Text, nullable=True),
    # A date's first and last moment, in microseconds since 1970.
    Column("low", BigInteger, nullable=True),
    Column("high", BigInteger, nullable=True),
    Index("ix_search_values_parameter_value", "parameter", "value"),
    Index("ix_search_values_parameter_low", "parameter", "low"),
)

revisions: Final = Table(
    "revisions",
    metadata,
    # What it is the revision of: "content" is measures, libraries, value sets and code systems.
    Column("name", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

results: Final = Table(
    "results",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("organization", String(64), nullable=False),
    Column("patient", String(64), nullable=False),
    # The measure's url|version.
    Column("measure", Text, nullable=False),
    Column("period_start", String(32), nullable=False),
    Column("period_end", String(32), nullable=False),
    Column("computed", _MOMENT, nullable=False),
    # Which measure, libraries and expansions it was computed with (a hash; see ``content_versions``).
    Column("provenance", String(64), nullable=False),
    Column("stale", Boolean, nullable=False),
    # The compact PatientResult as JSON.
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("organization", "patient", "measure", "period_start", "period_end"),
    Index("ix_results_measure", "organization", "measure", "period_start", "stale"),
)

result_types: Final = Table(
    "result_types",
    metadata,
    # The resource types that a measure retrieves: a change to another type leaves its results as they are.
    Column("measure", Text, primary_key=True),
    Column("type", String(64), primary_key=True),
)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    # queued, running, completed, failed, cancelled
    Column("state", String(16), nullable=False),
    Column("request", LargeBinary, nullable=False),
    # Who asked: the token's subject and client, and what it may see, as JSON.
    Column("requester", LargeBinary, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=True),
    Column("progress", Text, nullable=False),
    Column("result", LargeBinary, nullable=True),
    Column("created", _MOMENT, nullable=False),
    Column("finished", _MOMENT, nullable=True),
    Index("ix_jobs_state", "state", "created"),
)

job_steps: Final = Table(
    "job_steps",
    metadata,
    Column("job", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # waiting, claimed, done, failed
    Column("state", String(16), nullable=False),
    Column("work", LargeBinary, nullable=False),
    Column("outcome", LargeBinary, nullable=True),
    Column("claimed_by", String(64), nullable=True),
    Column("claimed_until", _MOMENT, nullable=True),
    Column("attempts", Integer, nullable=False),
    Index("ix_job_steps_state", "state", "claimed_until"),
)

audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("organization", String(64), nullable=False),
    Column("patient", String(64), nullable=True),
    Column("recorded", _MOMENT, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_audit_events_recorded", "organization", "recorded"),
)

sources: Final = Table(
    "sources",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(64), nullable=False),
    Column("url", Text, nullable=False),
    # How to sign in and which way to read, without secrets, as JSON.
    Column("settings", LargeBinary, nullable=False),
    # The source's own time of the last complete load; the next sync asks for what is younger.
    Column("synced", String(40), nullable=True),
    # The number of the last event that its subscription told of.
    Column("last_event", BigInteger, nullable=True),
    # The Subscriptions at the source, as JSON (see ``sources.Subscriptions``).
    Column("subscriptions", LargeBinary, nullable=True),
    # When they are to be looked after the next time; none where there are none to look after.
    Column("look_at", _MOMENT, nullable=True),
    # When a notification came the last time.
    Column("heard", _MOMENT, nullable=True),
)

source_patients: Final = Table(
    "source_patients",
    metadata,
    Column("source", String(64), ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    # The patient's id at the source.
    Column("patient", String(128), primary_key=True),
    # When the reading began that the stored data come from; what was read earlier never replaces them.
    Column("read", _MOMENT, nullable=False),
    # Whether data of the patient are in the store.
    Column("held", Boolean, nullable=False),
    # Why the patient could not be read whole the last time, as JSON; tried again with the next sync.
    Column("error", LargeBinary, nullable=True),
)

source_resources: Final = Table(
    "source_resources",
    metadata,
    Column("resource", _KEY, ForeignKey("resources.key", ondelete="CASCADE"), primary_key=True),
    Column("source", String(64), ForeignKey("sources.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("read", _MOMENT, nullable=False),
)
