"""One patient's record while it is being written: FHIR R4 resources, told the many ways real ones are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chance import Chance

QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
ZONES = (-10, -8, -7, -6, -5, -5, -4)

Json = dict[str, Any]


class Chart:
    """The resources of one patient, in the order in which they were written.

    ``labelled`` records name their profiles in ``meta.profile``, as an exporter of QI-Core does; the others
    don't, as most servers. Moments are local times of the patient's ``zone``.
    """

    __slots__ = ("_counts", "_in_utc", "chance", "died", "labelled", "patient", "resources", "year", "zone")

    def __init__(self, chance: Chance, patient: str, year: int) -> None:
        self.chance = chance
        self.patient = patient
        self.year = year
        self.zone = timezone(timedelta(hours=chance.one(ZONES)))
        self.labelled = chance.happens(0.5)
        self._in_utc = {
            "clinic": chance.happens(0.25),
            "laboratory": chance.happens(0.5),
            "device": chance.happens(0.5),
        }
        self.died: datetime | None = None
        self.resources: list[Json] = []
        self._counts: dict[str, int] = {}

    # Times

    def moment(self, month: int, day: int, hour: int | None = None, *, year: int | None = None) -> datetime:
        """A local time on a day of the measurement year (or another), in office hours if no hour is told."""
        hour = self.chance.whole(8, 16) if hour is None else hour
        minute = self.chance.whole(0, 11) * 5
        return datetime(self.year if year is None else year, month, day, hour, minute, tzinfo=self.zone)

    def day_of_year(self, first: int, last: int) -> datetime:
        """A local time in office hours on a day of the measurement year, counted from 1."""
        return self.moment(1, 1) + timedelta(days=self.chance.whole(first, last) - 1)

    def told(self, moment: datetime, source: str = "clinic") -> str:
        """The moment as a FHIR dateTime with an offset: the local one or UTC, some with milliseconds.

        A source (``clinic``, ``laboratory``, ``device``) tells all its times of a record in one of the two,
        as real systems do; days of different sources may differ by one.
        """
        fraction = "milliseconds" if self.chance.happens(0.1) else "seconds"
        if self._in_utc[source]:
            return moment.astimezone(UTC).isoformat(timespec=fraction).replace("+00:00", "Z")
        return moment.isoformat(timespec=fraction)

    def told_roughly(self, day: date) -> str:
        """The day as a FHIR dateTime of some precision: its year, its month or itself."""
        return day.isoformat()[: self.chance.one((4, 7, 10, 10))]

    def period(self, start: datetime, end: datetime | None, source: str = "clinic") -> Json:
        """A FHIR Period; without an end it goes on."""
        period = {"start": self.told(start, source)}
        if end is not None:
            period["end"] = self.told(end, source)
        return period

    # Resources

    def add(self, kind: str, profile: str | None, body: Json) -> str:
        """Put a resource into the record and return its id."""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        resource: Json = {"resourceType": kind, "id": f"{self.patient}-{kind.lower()}-{count}"}
        if self.labelled and profile is not None:
            resource["meta"] = {"profile": [profile]}
        resource.update(body)
        self.resources.append(resource)
        return str(resource["id"])

    def subject(self) -> Json:
        """The reference to the patient."""
        return {"reference": f"Patient/{self.patient}"}

    def concept(self, coding: v.Coding) -> Json:
        """The concept: often with the words of the clinic, sometimes with a local code before it."""
        if self.chance.happens(0.15):
            return v.concept(v.coding(v.LOCAL, coding["code"].replace(".", ""), coding["display"]), coding)
        return v.concept(coding, text=coding["display"] if self.chance.happens(0.5) else None)

    def visit(
        self,
        start: datetime,
        minutes: int = 30,
        *,
        kind: v.Coding = v.AMBULATORY,
        coded: v.Coding | None = None,
        status: str = "finished",
    ) -> str:
        """An outpatient visit; without ``coded`` its type is words only, as where CPT is not passed on."""
        kinds = [v.concept(coded)] if coded else [{"text": "Office visit"}]
        body: Json = {
            "status": status,
            "class": dict(kind),
            "type": kinds,
            "subject": self.subject(),
            "period": self.period(start, start + timedelta(minutes=minutes)),
        }
        return self.add("Encounter", f"{QICORE}encounter", body)

    def stay(
        self,
        start: datetime,
        end: datetime | None,
        *,
        disposition: v.Coding | None = None,
        reason: v.Coding | None = None,
    ) -> str:
        """A stay in hospital; without an end the patient is still in."""
        body: Json = {
            "status": "in-progress" if end is None else "finished",
            "class": dict(self.chance.one((v.INPATIENT, v.INPATIENT, v.ACUTE))),
            "type": [{"text": "Hospital stay"}],
            "subject": self.subject(),
            "period": self.period(start, end),
        }
        if reason is not None:
            body["reasonCode"] = [self.concept(reason)]
        if disposition is not None:
            body["hospitalization"] = {"dischargeDisposition": v.concept(disposition)}
        return self.add("Encounter", f"{QICORE}encounter", body)

    def condition(
        self,
        coding: v.Coding,
        onset: str,
        *,
        abatement: str | None = None,
        encounter: str | None = None,
        verification: str = "confirmed",
    ) -> str:
        """A condition: a diagnosis of the encounter where one is named, else an item of the problem list.

        ``onset`` and ``abatement`` are FHIR dateTimes of any precision.
        """
        category, profile = (
            ("encounter-diagnosis", "condition-encounter-diagnosis")
            if encounter
            else ("problem-list-item", "condition-problems-health-concerns")
        )
        clinical = "active" if abatement is None else "resolved"
        body: Json = {
            "clinicalStatus": v.concept({"system": f"{v.HL7}/condition-clinical", "code": clinical}),
            "verificationStatus": v.concept(
                {"system": f"{v.HL7}/condition-ver-status", "code": verification}
            ),
            "category": [v.concept({"system": f"{v.HL7}/condition-category", "code": category})],
            "code": self.concept(coding),
            "subject": self.subject(),
        }
        if verification == "entered-in-error":
            del body["clinicalStatus"]
        if encounter:
            body["encounter"] = {"reference": f"Encounter/{encounter}"}
        if self.chance.happens(0.8):
            body["onsetDateTime"] = onset
        else:
            body["onsetPeriod"] = {"start": onset}
        if abatement is not None:
            body["abatementDateTime"] = abatement
        body["recordedDate"] = onset
        return self.add("Condition", QICORE + profile, body)

    def laboratory(
        self, coding: v.Coding, taken: datetime, value: Json | None, *, status: str = "final"
    ) -> str:
        """A laboratory result: at a moment, on a day, or over a period of some minutes."""
        form = self.chance.whole(1, 10)
        effective: Json
        if form <= 2:
            effective = {"effectiveDateTime": taken.date().isoformat()}
        elif form == 3:
            over = self.period(taken, taken + timedelta(minutes=10), "laboratory")
            effective = {"effectivePeriod": over}
        else:
            effective = {"effectiveDateTime": self.told(taken, "laboratory")}
        told = (
            {"valueQuantity": value}
            if value is not None
            else {"dataAbsentReason": v.concept({"system": f"{v.HL7}/data-absent-reason", "code": "error"})}
        )
        body: Json = {
            "status": status,
            "category": [v.concept({"system": f"{v.HL7}/observation-category", "code": "laboratory"})],
            "code": self.concept(coding),
            "subject": self.subject(),
            **effective,
            "issued": (taken + timedelta(hours=5)).isoformat(timespec="seconds"),
            **told,
        }
        return self.add("Observation", f"{QICORE}observation-lab", body)

    def vital_sign(self, coding: v.Coding, taken: datetime, value: Json, profile: str) -> str:
        """A vital sign with one value."""
        return self.add(
            "Observation",
            US_CORE + profile,
            {
                "status": "final",
                "category": [v.concept({"system": f"{v.HL7}/observation-category", "code": "vital-signs"})],
                "code": self.concept(coding),
                "subject": self.subject(),
                "effectiveDateTime": self.told(taken, "device"),
                "valueQuantity": value,
            },
        )

    def blood_pressure(
        self, taken: datetime, systolic: int | None, diastolic: int | None, *, encounter: str | None = None
    ) -> str:
        """A reading; a value that was not got has a reason in its place."""
        body: Json = {
            "status": "final",
            "category": [v.concept({"system": f"{v.HL7}/observation-category", "code": "vital-signs"})],
            "code": v.concept(v.BLOOD_PRESSURE),
            "subject": self.subject(),
            "effectiveDateTime": self.told(taken, "device"),
            "component": [
                {"code": v.concept(v.SYSTOLIC), **_pressure(systolic)},
                {"code": v.concept(v.DIASTOLIC), **_pressure(diastolic)},
            ],
        }
        if encounter:
            body["encounter"] = {"reference": f"Encounter/{encounter}"}
        return self.add("Observation", f"{US_CORE}blood-pressure", body)

    def medication_order(self, coding: v.Coding, ordered: datetime, *, by_reference: bool = False) -> str:
        """An order of a medication, named by its code or by a reference to a Medication of the record."""
        medication: Json = {"medicationCodeableConcept": self.concept(coding)}
        if by_reference:
            named = self.add("Medication", f"{QICORE}medication", {"code": v.concept(coding)})
            medication = {"medicationReference": {"reference": f"Medication/{named}"}}
        return self.add(
            "MedicationRequest",
            f"{QICORE}medicationrequest",
            {
                "status": self.chance.one(("active", "active", "completed")),
                "intent": "order",
                **medication,
                "subject": self.subject(),
                "authoredOn": self.told(ordered),
                "requester": {"display": "Primary care"},
            },
        )

    def medication_not_ordered(
        self, value_set: str, ordered: datetime, reason: v.Coding, *, coded: bool
    ) -> str:
        """A record that a medication was not ordered: one medication (``coded``), or any of a value set."""
        medication = v.concept(self.chance.one(v.members(value_set))) if coded else _any_of(value_set)
        return self.add(
            "MedicationRequest",
            f"{QICORE}medicationnotrequested",
            {
                "status": "completed",
                "intent": "order",
                "doNotPerform": True,
                "medicationCodeableConcept": medication,
                "subject": self.subject(),
                "authoredOn": self.told(ordered),
                "requester": {"display": "Primary care"},
                "reasonCode": [v.concept(reason)],
            },
        )

    def service_order(self, coding: v.Coding, ordered: datetime) -> str:
        """An order of a service."""
        return self.add(
            "ServiceRequest",
            f"{QICORE}servicerequest",
            {
                "status": "active",
                "intent": "order",
                "code": self.concept(coding),
                "subject": self.subject(),
                "authoredOn": self.told(ordered),
            },
        )

    def service_not_ordered(self, value_set: str, ordered: datetime, reason: v.Coding, *, coded: bool) -> str:
        """A record that a service was not ordered: one service (``coded``), or any of a value set."""
        code = v.concept(self.chance.one(v.members(value_set))) if coded else _any_of(value_set)
        return self.add(
            "ServiceRequest",
            f"{QICORE}servicenotrequested",
            {
                "extension": [
                    {"url": f"{QICORE}doNotPerformReason", "valueCodeableConcept": v.concept(reason)}
                ],
                "status": "completed",
                "intent": "order",
                "doNotPerform": True,
                "code": code,
                "subject": self.subject(),
                "authoredOn": self.told(ordered),
            },
        )

    def observation_cancelled(self, coding: v.Coding, told: datetime, reason: v.Coding) -> str:
        """A laboratory observation that was not made, with the reason."""
        return self.add(
            "Observation",
            f"{QICORE}observationcancelled",
            {
                "extension": [{"url": f"{QICORE}notDoneReason", "valueCodeableConcept": v.concept(reason)}],
                "status": "cancelled",
                "category": [v.concept({"system": f"{v.HL7}/observation-category", "code": "laboratory"})],
                "code": v.concept(coding),
                "subject": self.subject(),
                "issued": told.isoformat(timespec="seconds"),
            },
        )

    def procedure(self, coding: v.Coding, start: datetime, end: datetime | None = None) -> str:
        """A procedure that was done, at a moment or over a period."""
        performed: Json = (
            {"performedDateTime": self.told(start)}
            if end is None
            else {"performedPeriod": self.period(start, end)}
        )
        return self.add(
            "Procedure",
            f"{QICORE}procedure",
            {"status": "completed", "code": self.concept(coding), "subject": self.subject(), **performed},
        )


def quantity(value: Decimal, unit: str, *, shown: str | None = None) -> Json:
    """A FHIR Quantity with a UCUM unit."""
    return {"value": value, "unit": shown or unit, "system": v.UCUM, "code": unit}


def _pressure(value: int | None) -> Json:
    if value is None:
        return {"dataAbsentReason": v.concept({"system": f"{v.HL7}/data-absent-reason", "code": "error"})}
    return {"valueQuantity": quantity(Decimal(value), "mm[Hg]", shown="mmHg")}


def _any_of(value_set: str) -> Json:
    """A code that stands for none of a value set being done (QI-Core, not done with a value set)."""
    return {
        "extension": [{"url": f"{QICORE}notDoneValueSet", "valueCanonical": v.value_set_url(value_set)}],
        "text": f"None of {value_set.replace('-', ' ')}",
    }
