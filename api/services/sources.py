"""Sources by name: adding them, signing in at them, and proving that a notification comes from them."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Final

import msgspec
from pydantic import SecretStr

from measurewise.api.services.context import Services
from measurewise.api.settings import Settings, SourceSecrets
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.attribution import RULES
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE
from measurewise.fhir_server_adapter.signin import BackendServices, Basic, Bearer, ClientCredentials, SignIn
from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.database import now
from measurewise.store.sources import Source, SourceSettings

CLINICAL_TYPES: Final = frozenset(
    {
        "AdverseEvent", "AllergyIntolerance", "Appointment", "BodyStructure", "CarePlan", "CareTeam",
        "ChargeItem", "Claim", "ClaimResponse", "ClinicalImpression", "Communication",
        "CommunicationRequest", "Composition", "Condition", "Consent", "Coverage", "DetectedIssue", "Device",
        "DeviceRequest", "DeviceUseStatement", "DiagnosticReport", "DocumentReference", "Encounter",
        "EpisodeOfCare", "ExplanationOfBenefit", "FamilyMemberHistory", "Flag", "Goal", "ImagingStudy",
        "Immunization", "ImmunizationEvaluation", "ImmunizationRecommendation", "List", "Media",
        "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement",
        "NutritionOrder", "Observation", "Patient", "Procedure", "QuestionnaireResponse", "RelatedPerson",
        "RequestGroup", "ResearchSubject", "RiskAssessment", "ServiceRequest", "Specimen", "SupplyDelivery",
        "SupplyRequest", "Task", "VisionPrescription",
    }
)  # fmt: skip
"""The types of a patient's data that are synced, where a source does not name its own. Reports, groups,
audit events and provenance of the source stay there."""


def synced_types(source: Source) -> frozenset[str]:
    """The resource types that are taken from a source; Patient always."""
    own = frozenset(source.settings.types) or CLINICAL_TYPES
    return own | BY_REFERENCE | {"Patient"}


def add_source(services: Services, source: Source, *, ids: str | None = None) -> Source:
    """Keep a new source. ``ids`` is ``kept``, ``prefixed``, or None: prefixed if it is not its
    organisation's first.

    Raises MeasurewiseError for settings that do not go together, and for an address that is none.
    """
    _check(source)
    if source.settings.subscribe != "no":
        hook_secret(services.settings, source)
    with services.database.write() as connection:
        others = [
            one for one in sources.listed(connection, OPERATOR) if one.organization == source.organization
        ]
        prefixed = bool(others) if ids is None else ids == "prefixed"
        settings = msgspec.structs.replace(source.settings, prefixed=prefixed)
        kept = replace(source, settings=settings)
        sources.add(connection, kept)
        if settings.subscribe != "no":
            sources.look_at(connection, kept.id, now())
    return kept


def change_source(services: Services, source: Source, settings: SourceSettings) -> Source:
    """Give a source other settings; who calls looks after its Subscriptions now, the workers do later.

    Raises MeasurewiseError for settings that do not go together.
    """
    changed = replace(source, settings=settings)
    _check(changed)
    if settings.subscribe != "no":
        hook_secret(services.settings, changed)
    with services.database.write() as connection:
        sources.change(connection, source.id, settings)
        later = now() + timedelta(seconds=services.settings.subscription_seconds)
        sources.look_at(connection, source.id, later if settings.subscribe != "no" else None)
    return changed


def _check(source: Source) -> None:
    settings = source.settings
    check_subscribing(source)
    if settings.way == "files":
        if settings.sign_in != "none" or settings.group is not None:
            raise MeasurewiseError(
                "files have no sign-in and no groups.", where="source", mend="Leave them away."
            )
    else:
        FhirClient(source.url)
    if settings.group is not None and settings.rule is not None:
        raise MeasurewiseError("patients come from a group or by a rule.", where="source", mend="Give one.")
    if settings.rule is None and (settings.provider or settings.practice):
        raise MeasurewiseError(
            "a provider or practice needs a rule.", where="source", mend=f"Name one of {', '.join(RULES)}."
        )
    if settings.rule is not None:
        if settings.rule not in RULES:
            raise MeasurewiseError(
                f"there is no rule '{settings.rule}'.",
                where="source",
                mend=f"There are {', '.join(RULES)}.",
            )
        if not (settings.start and settings.end and (settings.provider or settings.practice)):
            raise MeasurewiseError(
                "a rule needs a provider or practice, and a period.", where="source", mend="Give them too."
            )


def check_subscribing(source: Source) -> None:
    """Raises MeasurewiseError for settings of Subscriptions that do not go together."""
    settings = source.settings
    if settings.subscribe != "no" and settings.way == "files":
        raise MeasurewiseError("files have no Subscriptions.", where="--subscribe", mend="Leave it away.")
    if (settings.subscribe == "topic") != (settings.topic is not None):
        raise MeasurewiseError(
            "a Subscription by topic needs a topic, and no other has one.",
            where="--topic",
            mend="Give --subscribe topic and --topic with the canonical URL of the source's topic.",
        )
    if settings.subscribe != "topic" and (settings.filters or settings.heartbeat):
        raise MeasurewiseError(
            "filters and a heartbeat are for Subscriptions by topic.",
            where="--topic-filter, --heartbeat",
            mend="Leave them away, or give --subscribe topic.",
        )


def hook_secret(settings: Settings, source: Source) -> str:
    """What a source proves its notifications with. Raises SourceError where none is set."""
    known = secrets_of(settings, source.id).hook_secret
    if known is None:
        raise SourceError(
            f"there is no secret for the notifications of the source '{source.id}'.",
            where=_variable(source, "HOOK_SECRET"),
            mend="Set it in the environment of the server and its workers: a long random text.",
            code="security",
        )
    return known.get_secret_value()


def secrets_of(settings: Settings, source: str) -> SourceSecrets:
    """What the settings hold for a source."""
    return settings.sources.get(source.replace("-", "_"), SourceSecrets())


def client_of(settings: Settings, source: Source) -> FhirClient:
    """A client for a source, signed in as its settings say. Raises SourceError where secrets are missing."""
    return FhirClient(
        source.url,
        sign_in=_sign_in(settings, source),
        concurrency=source.settings.concurrency,
        timeout=120,
    )


def proves(settings: Settings, source: str, given: str | None) -> bool:
    """Whether a secret is the one by which a source proves its notifications."""
    known = secrets_of(settings, source).hook_secret
    if known is None or not given:
        return False
    return hmac.compare_digest(known.get_secret_value().encode(), given.encode())


def _sign_in(settings: Settings, source: Source) -> SignIn | None:
    secrets = secrets_of(settings, source.id)
    match source.settings.sign_in:
        case "none":
            return None
        case "bearer":
            return Bearer(_given(source, "TOKEN", secrets.token))
        case "basic":
            return Basic(_given(source, "USER", secrets.user), _given(source, "PASSWORD", secrets.password))
        case "client-credentials":
            return ClientCredentials(
                _given(source, "TOKEN_URL", secrets.token_url),
                _given(source, "CLIENT_ID", secrets.client_id),
                _given(source, "CLIENT_SECRET", secrets.client_secret),
            )
    client_id = _given(source, "CLIENT_ID", secrets.client_id)
    file = _given(source, "KEY_FILE", None if secrets.key_file is None else str(secrets.key_file))
    try:
        with open(file, encoding="utf-8") as opened:
            key = opened.read()
    except OSError as error:
        raise SourceError(
            f"the private key cannot be read ({error.strerror}).",
            where=_variable(source, "KEY_FILE"),
            mend="Look at the file and its rights.",
            code="security",
        ) from None
    return BackendServices(
        client_id, key, algorithm=secrets.key_algorithm, kid=secrets.key_id, token_url=secrets.token_url
    )


def _given(source: Source, name: str, value: str | SecretStr | None) -> str:
    if not value:
        raise SourceError(
            f"the sign-in '{source.settings.sign_in}' of the source '{source.id}' lacks a setting.",
            where=_variable(source, name),
            mend="Set it in the environment of the server and its workers.",
            code="security",
        )
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _variable(source: Source, name: str) -> str:
    return f"MEASUREWISE_SOURCES__{source.id.replace('-', '_').upper()}__{name}"
