"""Whose data a request may see: the one place where rows are filtered by organisation and patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, FromClause, Table, and_, or_, true

from measurewise.store.errors import ForbiddenError

SHARED: Final = ""
"""The organisation of what belongs to none: measures, libraries, value sets and code systems."""


@dataclass(frozen=True, slots=True)
class Access:
    """Whose data a request may see.

    ``organizations`` are ids of organisations (a TIN, a practice), or None for all of them (the operator's
    own command line, the workers). ``patient`` is the one patient id that a patient-access token is bound
    to. What is shared (``SHARED``) everyone may read.
    """

    organizations: frozenset[str] | None
    patient: str | None = None

    def rows(self, table: FromClause) -> ColumnElement[bool]:
        """The condition on a table with ``organization`` and ``patient`` columns: each query takes it."""
        conditions: list[ColumnElement[bool]] = []
        if self.organizations is not None:
            conditions.append(table.c.organization.in_([SHARED, *sorted(self.organizations)]))
        if self.patient is not None:
            conditions.append(or_(table.c.patient == self.patient, table.c.organization == SHARED))
        return and_(true(), *conditions)

    def own_rows(self, table: Table) -> ColumnElement[bool]:
        """The condition on a table of organisations' own rows, such as jobs: nothing is shared."""
        if self.organizations is None:
            return true()
        return table.c.organization.in_(sorted(self.organizations))

    def home(self, asked: str | None, default: str) -> str:
        """The organisation that new data belongs to.

        ``asked`` is the one that the request names, ``default`` what an operator bound to none writes to.
        Raises ForbiddenError where the request names one it may not write to, or must name one and does not.
        """
        if self.organizations is None:
            return asked or default
        if asked is not None:
            if asked not in self.organizations:
                raise ForbiddenError(
                    f"this token does not belong to the organisation '{asked}'.",
                    mend="Name one of the token's organisations.",
                )
            return asked
        if len(self.organizations) != 1:
            raise ForbiddenError(
                f"this token belongs to {len(self.organizations)} organisations; whose data is written?",
                mend="Name the organisation in the header X-Organization.",
            )
        (only,) = self.organizations
        return only


OPERATOR: Final = Access(None)
"""All organisations, all patients: what runs on the operator's behalf."""
