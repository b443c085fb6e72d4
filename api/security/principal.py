"""Who asks, and how far their token reaches for one request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from measurewise.api.security.errors import ScopeError
from measurewise.api.security.scopes import (
    EVERY_LEVEL,
    WIDE_LEVELS,
    Level,
    Need,
    OperationNeeds,
    Restriction,
    Scope,
    Scopes,
)
from measurewise.store.access import OPERATOR, Access


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    ``access`` is whose data this request may see; until ``permit`` has settled what the scopes give, it is
    the narrowest the token can mean. ``patient`` is the patient in the token's context. ``restrictions`` are
    the search parameters that granular scopes add, by resource type.
    """

    subject: str
    client_id: str
    scopes: Scopes
    access: Access
    name: str = ""
    issuer: str = ""
    token_id: str = ""
    patient: str | None = None
    fhir_user: str | None = None
    operator: bool = False
    restrictions: tuple[tuple[str, tuple[Restriction, ...]], ...] = ()

    def permit(
        self,
        *needs: Need,
        levels: frozenset[Level] = EVERY_LEVEL,
        restrictable: bool = False,
    ) -> Principal:
        """The principal with the access that the scopes give for these needs.

        A need that only ``patient/`` scopes meet binds the access to the token's patient. With
        ``restrictable`` (reads and searches), granular scopes count and their parameters are to be taken from
        ``search_parameters``; otherwise they do not suffice. Raises ScopeError where a need is not met.
        """
        if self.operator:
            return self
        bound = not is_staff(self.fhir_user)
        restrictions: dict[str, tuple[Restriction, ...]] = {}
        for need in needs:
            for action in need.actions:
                narrow, limits = self._reach(need.resource_type, action, levels, restrictable)
                bound = bound or narrow
                if limits:
                    earlier = restrictions.get(need.resource_type)
                    if earlier is not None and earlier != limits:
                        raise ScopeError(
                            f"the token's scopes limit {need.resource_type} differently for reading and "
                            "searching, which cannot be honoured together.",
                            mend="Ask for one scope with .rs.",
                        )
                    restrictions[need.resource_type] = limits
        patient = self.patient if bound else None
        if bound and patient is None:
            raise ScopeError("the token is for one patient and names none.")
        access = Access(self.access.organizations, patient)
        return replace(self, access=access, restrictions=tuple(restrictions.items()))

    def permit_operation(self, operation: OperationNeeds) -> Principal:
        """As ``permit``, for an operation of the table; granular scopes do not suffice for one."""
        return self.permit(*operation.needs, levels=operation.levels)

    def may(self, resource_type: str, action: str) -> bool:
        """Whether the scopes allow one action on a type without restriction, within the present access.

        Meant for what comes along, such as the matches of ``_include``.
        """
        if self.operator:
            return True
        levels: frozenset[Level] = EVERY_LEVEL if self.access.patient is not None else WIDE_LEVELS
        return any(self.scopes.allows(level, resource_type, action) for level in self._usable(levels))

    def search_parameters(self, resource_type: str) -> Restriction:
        """Search parameters that the request's own are to be joined with, all of them to hold.

        Raises ScopeError where several granular scopes together are no single search.
        """
        alternatives = dict(self.restrictions).get(resource_type, ())
        if len(alternatives) < 2:
            return alternatives[0] if alternatives else ()
        names = {name for alternative in alternatives for name, _ in alternative}
        if len(names) == 1 and all(len(alternative) == 1 for alternative in alternatives):
            values = dict.fromkeys(alternative[0][1] for alternative in alternatives)
            return ((names.pop(), ",".join(values)),)
        raise ScopeError(
            f"the token's scopes limit {resource_type} in several ways that are no single search.",
            mend="Ask for scopes that differ in one parameter only.",
        )

    def check_subject(self, subject: str | None) -> None:
        """Raises ScopeError unless a patient-bound request is about its own patient.

        ``subject`` is a reference (``Patient/p1``) or an id; None or anything else means more than one.
        """
        patient = self.access.patient
        if patient is not None and subject not in (patient, f"Patient/{patient}"):
            raise ScopeError(
                "this token is bound to one patient and may be used for that patient only.",
                where="subject",
                mend="Name the token's patient as the subject.",
            )

    def check_compartment(self, *patients: str | None) -> None:
        """Raises ScopeError unless a patient-bound request changes that patient's data alone.

        ``patients`` are those in whose compartments the resource was and is to be; None stands
        for a resource in no patient's.
        """
        patient = self.access.patient
        if patient is not None and any(other != patient for other in patients):
            raise ScopeError(
                "this token is bound to one patient and may change that patient's data only.",
                where="subject",
            )

    def _usable(self, levels: frozenset[Level]) -> list[Level]:
        """The levels whose scopes count: those of ``patient/`` only where the token names a patient."""
        return [level for level in ("user", "system", "patient") if level in levels and self._counts(level)]

    def _counts(self, level: Level) -> bool:
        if level == "patient":
            return self.patient is not None
        # a patient or relative who looks at somebody else's record does so by patient/ scopes alone
        return is_staff(self.fhir_user) or self.fhir_user == f"Patient/{self.patient}"

    def _reach(
        self, resource_type: str, action: str, levels: frozenset[Level], restrictable: bool
    ) -> tuple[bool, tuple[Restriction, ...]]:
        """Whether the action binds to the patient, and under which restrictions it is allowed."""
        usable = self._usable(levels)
        for level in usable:
            if self.scopes.allows(level, resource_type, action):
                return level == "patient", ()
        limited = False
        wide = self._limits(usable, WIDE_LEVELS, resource_type, action)
        narrow = self._limits(usable, frozenset({"patient"}), resource_type, action)
        for bound, limits in ((False, wide), (True, narrow)):
            if limits:
                if restrictable:
                    return bound, limits
                limited = True
        raise _lacking(self, resource_type, action, levels, limited)

    def _limits(
        self, usable: Iterable[Level], levels: frozenset[Level], resource_type: str, action: str
    ) -> tuple[Restriction, ...]:
        found: list[Restriction] = []
        for level in usable:
            if level in levels:
                found.extend(self.scopes.restrictions(level, resource_type, action))
        return tuple(dict.fromkeys(found))


def _lacking(
    principal: Principal, resource_type: str, action: str, levels: frozenset[Level], limited: bool
) -> ScopeError:
    order: tuple[Level, ...] = ("user", "system", "patient")
    enough = [str(Scope(level, resource_type, action)) for level in order if level in levels]
    mend = "Ask for " + " or ".join(enough) + "."
    if limited:
        return ScopeError(
            f"the token's scopes for {resource_type} are limited by search parameters, "
            "which this request cannot honour.",
            mend=mend,
            scopes=enough,
        )
    if "patient" in levels and principal.patient is None and principal.scopes.has_level("patient"):
        return ScopeError(
            "the token has patient/ scopes but names no patient, so they allow nothing.",
            mend="Ask for launch/patient when signing in.",
            scopes=enough,
        )
    return ScopeError("the token's scopes do not allow this.", mend=mend, scopes=enough)


def is_staff(fhir_user: str | None) -> bool:
    """Whether a user sees what the organisation's people see; a patient or a relative sees one patient.

    Where a token says nothing about its user, its scopes alone speak.
    """
    return fhir_user is None or fhir_user.split("/", 1)[0] in (
        "Practitioner",
        "PractitionerRole",
        "Organization",
    )


def operator() -> Principal:
    """The person at the machine itself: no issuer is configured, everything is allowed."""
    every = Scopes.parse("user/*.cruds system/*.cruds")
    return Principal("operator", "local", every, OPERATOR, name="Operator of this machine", operator=True)
