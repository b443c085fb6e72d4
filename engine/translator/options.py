"""How a translation is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SignatureLevel(Enum):
    """Which operator and function calls carry the types of the overload that was chosen."""

    NONE = "None"
    DIFFERING = "Differing"
    OVERLOADS = "Overloads"
    ALL = "All"


@dataclass(frozen=True, slots=True)
class TranslatorOptions:
    """Settings of a translation; the defaults give small ELM that runs.

    ``annotations`` adds the CQL text by node to each definition, ``locators`` the place of each node in the
    text, ``result_types`` the type of each node. ``list_promotion`` lets ``x`` stand where ``{x}`` is wanted,
    ``list_demotion`` lets a list stand where its only element is wanted, and likewise for intervals; all four
    are off, as the specification advises. ``compatibility_level`` is the version of CQL.
    """

    annotations: bool = False
    locators: bool = True
    result_types: bool = False
    list_promotion: bool = False
    list_demotion: bool = False
    interval_promotion: bool = False
    interval_demotion: bool = False
    signature_level: SignatureLevel = SignatureLevel.OVERLOADS
    compatibility_level: str = "1.5"

    def names(self) -> tuple[str, ...]:
        """The settings as the word list that ELM's ``CqlToElmInfo`` annotation carries."""
        switches = (
            ("EnableAnnotations", self.annotations),
            ("EnableLocators", self.locators),
            ("EnableResultTypes", self.result_types),
            ("DisableListDemotion", not self.list_demotion),
            ("DisableListPromotion", not self.list_promotion),
            ("EnableIntervalDemotion", self.interval_demotion),
            ("EnableIntervalPromotion", self.interval_promotion),
        )
        return tuple(name for name, given in switches if given)
