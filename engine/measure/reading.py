"""A FHIR R4 Measure resource read into a :class:`MeasureDefinition`.

What the standard requires and the resource lacks is a :class:`ContentError` that names the place; what can
be settled without guessing is settled with a :class:`Notice`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.definition import (
    AggregateMethod,
    Component,
    Composite,
    CompositeScoring,
    Criteria,
    Group,
    MeasureDefinition,
    Notice,
    Observation,
    Population,
    PopulationCode,
    Scoring,
    Stratifier,
    StratifierComponent,
    SupplementalData,
)
from measurewise.engine.measure.extensions import (
    MEASURE_POPULATION_SYSTEM,
    code_of,
    extension_value,
    extensions,
    value_of,
)

_IP: Final = PopulationCode.INITIAL_POPULATION
_DENOMINATOR: Final = PopulationCode.DENOMINATOR
_NUMERATOR: Final = PopulationCode.NUMERATOR
_OBSERVATION: Final = PopulationCode.MEASURE_OBSERVATION

_REQUIRED: Final = {
    Scoring.PROPORTION: frozenset({_IP, _DENOMINATOR, _NUMERATOR}),
    Scoring.RATIO: frozenset({_IP, _DENOMINATOR, _NUMERATOR}),
    Scoring.CONTINUOUS_VARIABLE: frozenset({_IP, PopulationCode.MEASURE_POPULATION}),
    Scoring.COHORT: frozenset({_IP}),
}
"""QM IG table 3-1, the R cells."""

_ALLOWED: Final = {
    Scoring.PROPORTION: _REQUIRED[Scoring.PROPORTION]
    | {
        PopulationCode.DENOMINATOR_EXCLUSION,
        PopulationCode.DENOMINATOR_EXCEPTION,
        PopulationCode.NUMERATOR_EXCLUSION,
    },
    Scoring.RATIO: _REQUIRED[Scoring.RATIO]
    | {PopulationCode.DENOMINATOR_EXCLUSION, PopulationCode.NUMERATOR_EXCLUSION, _OBSERVATION},
    Scoring.CONTINUOUS_VARIABLE: _REQUIRED[Scoring.CONTINUOUS_VARIABLE]
    | {PopulationCode.MEASURE_POPULATION_EXCLUSION, _OBSERVATION},
    Scoring.COHORT: _REQUIRED[Scoring.COHORT],
}
"""QM IG table 3-1, the R and O cells, and the observations of ratio and continuous-variable measures."""

_LANGUAGES: Final = frozenset(
    {"text/cql-identifier", "text/cql.identifier", "text/cql", "text/cql-expression", "text/cql.expression"}
)
_QUOTED: Final = re.compile(r'^"((?:[^"\\]|\\.)*)"$', re.DOTALL)
_QUALIFIED: Final = re.compile(
    r'^(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_]\w*))\.(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_]\w*))$', re.DOTALL
)
_NAME: Final = re.compile(r"^[^\"'().\[\]{}]+$")

_AGGREGATE_ALIASES: Final = {
    "avg": AggregateMethod.AVERAGE,
    "mean": AggregateMethod.AVERAGE,
    "min": AggregateMethod.MINIMUM,
    "max": AggregateMethod.MAXIMUM,
}

_COMPOSITE_POPULATIONS: Final = {
    CompositeScoring.ALL_OR_NOTHING: (
        _IP,
        _DENOMINATOR,
        PopulationCode.DENOMINATOR_EXCLUSION,
        _NUMERATOR,
        PopulationCode.NUMERATOR_EXCLUSION,
        PopulationCode.DENOMINATOR_EXCEPTION,
    ),
    CompositeScoring.LINEAR: (
        _IP,
        PopulationCode.MEASURE_POPULATION,
        PopulationCode.MEASURE_POPULATION_EXCLUSION,
    ),
    CompositeScoring.WEIGHTED: (),
}


def read_measure(resource: Mapping[str, Any]) -> MeasureDefinition:
    """The definition that a Measure resource (parsed JSON) gives.

    Raises :class:`ContentError` where the Measure lacks what the standard requires to calculate it.
    """
    if resource.get("resourceType") != "Measure":
        raise ContentError(
            f"expected a Measure and got {resource.get('resourceType')!r}.",
            mend="Give the Measure resource itself, not a bundle or another resource.",
        )
    where = _measure_name(resource)
    url = resource.get("url")
    if not url:
        raise ContentError(
            "the Measure has no url.", where=where, mend="Give it its canonical url: reports name it by that."
        )
    return _Reader(resource, where).read(url)


def _measure_name(resource: Mapping[str, Any]) -> str:
    return f"Measure {resource.get('name') or resource.get('id') or resource.get('url') or '(unnamed)'}"


def _library_name(canonical: str) -> str:
    return canonical.split("|", 1)[0].rstrip("/").rsplit("/", 1)[-1]


class _Reader:
    """Reads one Measure; gathers notices on the way."""

    def __init__(self, resource: Mapping[str, Any], where: str) -> None:
        self.resource = resource
        self.where = where
        self.notices: list[Notice] = []

    def read(self, url: str) -> MeasureDefinition:
        resource = self.resource
        groups = [
            self.group(group, f"{self.where}, group {group.get('id') or number}")
            for number, group in enumerate(resource.get("group") or (), 1)
        ]
        if not groups and code_of(resource.get("scoring")) == Scoring.COMPOSITE:
            groups = [self.group({}, self.where)]
        if not groups:
            raise ContentError(
                "the Measure has no group.", where=self.where, mend="A measure needs at least one group."
            )
        libraries = tuple(resource.get("library") or ())
        if not libraries and any(group.composite is None for group in groups):
            raise ContentError(
                "the Measure names no library.",
                where=self.where,
                mend="Set Measure.library to the canonical url of the library that holds its criteria.",
            )
        period = resource.get("effectivePeriod")
        return MeasureDefinition(
            url=url,
            version=resource.get("version"),
            name=resource.get("name") or resource.get("id") or _library_name(url),
            title=resource.get("title"),
            library=_library_name(libraries[0]) if libraries else "",
            libraries=libraries,
            groups=tuple(groups),
            supplemental_data=tuple(
                self.supplemental_data(item, f"{self.where}, supplementalData {item.get('id') or number}")
                for number, item in enumerate(resource.get("supplementalData") or (), 1)
            ),
            effective_period=(period.get("start"), period.get("end")) if period else None,
            notices=tuple(self.notices),
        )

    def group(self, group: Mapping[str, Any], where: str) -> Group:
        scoring = self.scoring(group, where)
        basis = (
            extension_value(group, "populationBasis")
            or extension_value(self.resource, "populationBasis")
            or "boolean"
        )
        composite = self.composite(group, where) if scoring is Scoring.COMPOSITE else None
        if composite is not None:
            populations, observations = _composite_populations(composite)
        else:
            populations, observations = self.populations(group, scoring, where)
        notation = code_of(extension_value(group, "improvementNotation")) or code_of(
            self.resource.get("improvementNotation")
        )
        if scoring is Scoring.RATIO and group.get("stratifier"):
            self.notices.append(
                Notice("a ratio measure has stratifiers, which QM IG 3.16 does not allow", where)
            )
        return Group(
            scoring=scoring,
            basis=str(basis),
            populations=populations,
            observations=observations,
            stratifiers=tuple(
                self.stratifier(item, f"{where}, stratifier {item.get('id') or number}")
                for number, item in enumerate(group.get("stratifier") or (), 1)
            ),
            id=group.get("id"),
            description=group.get("description"),
            concept=group.get("code"),
            improvement_notation=notation,
            rate_aggregation=extension_value(group, "rateAggregation")
            or self.resource.get("rateAggregation"),
            composite=composite,
        )

    def scoring(self, group: Mapping[str, Any], where: str) -> Scoring:
        code = code_of(extension_value(group, "scoring")) or code_of(self.resource.get("scoring"))
        if code is None:
            raise ContentError(
                "neither the group nor the Measure says how it is scored.",
                where=where,
                mend="Set Measure.scoring or the cqfm-scoring extension of the group.",
            )
        try:
            return Scoring(code.lower())
        except ValueError:
            raise ContentError(
                f"unknown scoring {code!r}.", where=where, mend=f"Use one of {', '.join(Scoring)}."
            ) from None

    def populations(
        self, group: Mapping[str, Any], scoring: Scoring, where: str
    ) -> tuple[tuple[Population, ...], tuple[Observation, ...]]:
        coded: list[tuple[PopulationCode, Mapping[str, Any], str]] = []
        for number, item in enumerate(group.get("population") or (), 1):
            place = f"{where}, population {item.get('id') or number}"
            coded.append((self.population_code(item, scoring, place), item, place))
        self.check_populations(coded, scoring, where)
        plain = [entry for entry in coded if entry[0] is not _OBSERVATION]
        populations = tuple(self.population(code, item, plain, place) for code, item, place in plain)
        observations = tuple(
            self.observation(item, plain, scoring, place)
            for code, item, place in coded
            if code is _OBSERVATION
        )
        return populations, observations

    def population_code(self, item: Mapping[str, Any], scoring: Scoring, where: str) -> PopulationCode:
        code = code_of(item.get("code"))
        if code == "measure-population-observation":
            return _OBSERVATION
        try:
            population = PopulationCode(code or "")
        except ValueError:
            raise ContentError(
                f"unknown population code {code!r}.",
                where=where,
                mend=f"Use one of {', '.join(PopulationCode)}.",
            ) from None
        if population not in _ALLOWED[scoring]:
            raise ContentError(
                f"a {scoring} group may not have a {population}.",
                where=where,
                mend="QM IG table 3-1 tells which populations go with which scoring.",
            )
        return population

    def check_populations(
        self, coded: list[tuple[PopulationCode, Mapping[str, Any], str]], scoring: Scoring, where: str
    ) -> None:
        codes = [code for code, _, _ in coded]
        missing = [code for code in PopulationCode if code in _REQUIRED[scoring] and code not in codes]
        if missing:
            raise ContentError(
                f"a {scoring} group needs {' and '.join(missing)}.",
                where=where,
                mend="Add the population, or correct the scoring.",
            )
        ids = [item["id"] for _, item, _ in coded if item.get("id")]
        for repeated in sorted({name for name in ids if ids.count(name) > 1}):
            raise ContentError(
                f"two populations have the id {repeated!r}.", where=where, mend="Give each its own id."
            )
        for code in set(codes) - {_OBSERVATION}:
            most = 2 if scoring is Scoring.RATIO and code is _IP else 1
            if codes.count(code) > most:
                raise ContentError(
                    f"{codes.count(code)} populations are {code}; at most {most} may be.",
                    where=where,
                    mend="Split them into groups, each with its own rate.",
                )

    def population(
        self,
        code: PopulationCode,
        item: Mapping[str, Any],
        plain: list[tuple[PopulationCode, Mapping[str, Any], str]],
        where: str,
    ) -> Population:
        initial: int | None = None
        sources = [index for index, (other, _, _) in enumerate(plain) if other is _IP]
        if len(sources) > 1 and code in (_DENOMINATOR, _NUMERATOR):
            initial = _referenced(extension_value(item, "criteriaReference"), plain, sources)
            if initial is None:
                raise ContentError(
                    f"of two initial populations it is not clear which one the {code} is drawn from.",
                    where=where,
                    mend="Add a cqfm-criteriaReference with the id of its initial population.",
                )
        return Population(
            code=code,
            criteria=self.criteria(item.get("criteria"), where),
            id=item.get("id"),
            description=item.get("description"),
            concept=item.get("code") or {},
            initial=initial,
        )

    def observation(
        self,
        item: Mapping[str, Any],
        plain: list[tuple[PopulationCode, Mapping[str, Any], str]],
        scoring: Scoring,
        where: str,
    ) -> Observation:
        observable = (
            (PopulationCode.MEASURE_POPULATION,)
            if scoring is Scoring.CONTINUOUS_VARIABLE
            else (_DENOMINATOR, _NUMERATOR)
        )
        candidates = [index for index, (code, _, _) in enumerate(plain) if code in observable]
        reference = extension_value(item, "criteriaReference")
        source = _referenced(reference, plain, candidates)
        if source is None:
            if len(candidates) > 1:
                raise ContentError(
                    f"it refers to {reference!r}, which is neither the denominator nor the numerator."
                    if reference
                    else "it does not say whether it observes the denominator or the numerator.",
                    where=where,
                    mend="Set its cqfm-criteriaReference to the id of the population it observes.",
                )
            source = candidates[0]
            if reference:
                self.notices.append(
                    Notice(
                        f"the observation refers to {reference!r}, which the group does not define; "
                        "its only measure population is taken",
                        where,
                    )
                )
        return Observation(
            criteria=self.criteria(item.get("criteria"), where),
            source=source,
            aggregate=self.aggregate(item, where),
            id=item.get("id"),
            description=item.get("description"),
            concept=item.get("code") or {},
        )

    def aggregate(self, item: Mapping[str, Any], where: str) -> AggregateMethod:
        text = code_of(extension_value(item, "aggregateMethod"))
        if text is None:
            raise ContentError(
                "the observation does not say how its values are aggregated.",
                where=where,
                mend=f"Add a cqfm-aggregateMethod with one of {', '.join(AggregateMethod)}.",
            )
        lowered = text.strip().lower()
        try:
            return _AGGREGATE_ALIASES.get(lowered) or AggregateMethod(lowered)
        except ValueError:
            raise ContentError(
                f"unknown aggregate method {text!r}.",
                where=where,
                mend=f"Use one of {', '.join(AggregateMethod)}.",
            ) from None

    def stratifier(self, item: Mapping[str, Any], where: str) -> Stratifier:
        parts = item.get("component") or ()
        if bool(parts) == bool(item.get("criteria")):
            raise ContentError(
                "a stratifier has either criteria or components.",
                where=where,
                mend="Keep one of the two (FHIR invariant mea-2).",
            )
        components = tuple(
            StratifierComponent(
                criteria=self.criteria(
                    part.get("criteria"), f"{where}, component {part.get('id') or number}"
                ),
                id=part.get("id"),
                description=part.get("description"),
                concept=part.get("code"),
            )
            for number, part in enumerate(parts or (item,), 1)
        )
        return Stratifier(
            components=components,
            is_multi=bool(parts),
            id=item.get("id"),
            description=item.get("description"),
            concept=item.get("code"),
            applies_to=tuple(
                code
                for extension in extensions(item, "appliesTo")
                if (code := code_of(value_of(extension))) is not None
            ),
        )

    def supplemental_data(self, item: Mapping[str, Any], where: str) -> SupplementalData:
        usage = tuple(
            str(coding["code"])
            for concept in item.get("usage") or ()
            for coding in concept.get("coding") or ()
            if coding.get("code")
        )
        return SupplementalData(
            criteria=self.criteria(item.get("criteria"), where),
            usage=usage or ("supplemental-data",),
            id=item.get("id"),
            description=item.get("description"),
            concept=item.get("code"),
        )

    def criteria(self, criteria: Any, where: str) -> Criteria:
        expression = criteria.get("expression") if isinstance(criteria, Mapping) else None
        if not expression:
            raise ContentError(
                "it has no criteria expression.",
                where=where,
                mend="Name the CQL definition in criteria.expression.",
            )
        language = str(criteria.get("language") or "text/cql-identifier").split(";", 1)[0].strip()
        if language not in _LANGUAGES:
            raise ContentError(
                f"criteria in the language {language!r} cannot be evaluated.",
                where=where,
                mend="Name a CQL definition, with language text/cql-identifier.",
            )
        text = expression.strip()
        if match := _QUOTED.match(text):
            return Criteria(_unescaped(match[1]))
        if language.endswith("identifier"):
            match = _QUALIFIED.match(text) if '"' in text else None
            if match is None:
                return Criteria(text)
            return Criteria(_unescaped(match[3] or match[4]), _unescaped(match[1] or match[2]))
        if match := _QUALIFIED.match(text):
            return Criteria(_unescaped(match[3] or match[4]), _unescaped(match[1] or match[2]))
        if _NAME.match(text):
            return Criteria(text)
        raise ContentError(
            f"the criteria {text!r} are a CQL expression, not the name of a definition.",
            where=where,
            mend="Define it in the library and name the definition (QM IG 3.7).",
        )

    def composite(self, group: Mapping[str, Any], where: str) -> Composite:
        code = code_of(extension_value(group, "compositeScoring")) or code_of(
            self.resource.get("compositeScoring")
        )
        try:
            scoring = CompositeScoring(code or "")
        except ValueError:
            raise ContentError(
                f"a composite needs a composite scoring method; it has {code!r}.",
                where=where,
                mend=f"Set compositeScoring to one of {', '.join(CompositeScoring)}.",
            ) from None
        artifacts = [value_of(extension) for extension in extensions(group, "component")]
        components = tuple(
            self.component(artifact, where)
            for artifact in artifacts or self.resource.get("relatedArtifact") or ()
            if isinstance(artifact, Mapping) and artifact.get("type") == "composed-of"
        )
        if len(components) < 2:
            raise ContentError(
                f"a composite needs at least two components; it has {len(components)}.",
                where=where,
                mend="Add a relatedArtifact of type composed-of for each component measure (QM IG 5.10).",
            )
        return Composite(scoring, components)

    def component(self, artifact: Mapping[str, Any], where: str) -> Component:
        measure = artifact.get("resource")
        if not measure:
            raise ContentError(
                "a component of the composite names no measure.",
                where=where,
                mend="Set relatedArtifact.resource to the canonical url of the component measure.",
            )
        weight = extension_value(artifact, "weight")
        return Component(
            measure=measure,
            group_id=extension_value(artifact, "groupId"),
            weight=None if weight is None else Decimal(str(weight)),
            display=artifact.get("display"),
        )


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _referenced(
    reference: Any, plain: list[tuple[PopulationCode, Mapping[str, Any], str]], candidates: list[int]
) -> int | None:
    """The candidate that a criteriaReference names by id; by population code where no id is the same."""
    if not isinstance(reference, str):
        return None
    for index in candidates:
        if plain[index][1].get("id") == reference:
            return index
    by_code = [index for index in candidates if plain[index][0] == reference]
    return by_code[0] if len(by_code) == 1 else None


def _composite_populations(composite: Composite) -> tuple[tuple[Population, ...], tuple[Observation, ...]]:
    """The populations that a composite's components are combined into (QM IG 5.2 to 5.5)."""
    scoring = composite.scoring
    codes = _COMPOSITE_POPULATIONS[
        CompositeScoring.ALL_OR_NOTHING if scoring is CompositeScoring.OPPORTUNITY else scoring
    ]
    populations = tuple(
        Population(code, None, concept={"coding": [{"system": MEASURE_POPULATION_SYSTEM, "code": str(code)}]})
        for code in codes
    )
    if scoring is not CompositeScoring.LINEAR:
        return populations, ()
    concept = {"coding": [{"system": MEASURE_POPULATION_SYSTEM, "code": str(_OBSERVATION)}]}
    return populations, (Observation(None, 1, AggregateMethod.AVERAGE, concept=concept),)
