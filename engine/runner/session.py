"""Measures made ready to run: content in, results of one patient after another out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from measurewise.engine.compiler.cache import ProgramCache
from measurewise.engine.compiler.planner import ProfileMatching
from measurewise.engine.compiler.prefilter import ANYTHING, Prefilter, Requirement
from measurewise.engine.compiler.prefilter.windows import RetrieveUses, Windows
from measurewise.engine.compiler.program import PatientEvaluation, Program, Run
from measurewise.engine.content.content import Content, MeasureContent
from measurewise.engine.content.resolution import StalePolicy
from measurewise.engine.errors import ContentError, MeasurewiseError
from measurewise.engine.measure.populations import Evaluator
from measurewise.engine.measure.reports.individual import individual_report
from measurewise.engine.measure.reports.parts import Json, Reporting
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.record.normalise import mended
from measurewise.engine.record.profiles import Matching, profile_table
from measurewise.engine.record.record import Record
from measurewise.engine.runner.compilation import Compiled, MissingPolicy, compile_measures
from measurewise.engine.runner.element_shapes import elements
from measurewise.engine.runner.faults import evaluation_error
from measurewise.engine.runner.period import Period
from measurewise.engine.runner.prefilters import initial_requirement
from measurewise.engine.runner.translation import EngineKind, LibraryTrees, ModelInfos
from measurewise.engine.runner.windows import retrieve_uses
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.messages import MessageSink
from measurewise.engine.terminology.value_sets import ValueSetIndex


class Engine:
    """Content, and the settings under which its measures are prepared.

    ``matching`` says how retrieves decide which resources a profile means; ``missing_valuesets`` whether a
    value set that is used but not there is an error or empty with a notice; ``engine`` whether libraries run
    from their ELM, their CQL, or their ELM where it is proved to belong to their CQL (``auto``); ``stale``
    what becomes of ELM that is older than its CQL; ``model_infos`` are model-info files beside the models
    that ship (see ``LibraryTrees``).
    """

    def __init__(
        self,
        content: Content,
        *,
        matching: Matching = Matching.AUTO,
        missing_valuesets: MissingPolicy = "error",
        engine: EngineKind = "auto",
        stale: StalePolicy | None = None,
        model_infos: ModelInfos = (),
        cache: ProgramCache | None = None,
    ) -> None:
        self.content = content
        self.cache = cache
        self.matching = matching
        self.missing_valuesets: MissingPolicy = missing_valuesets
        self.trees = LibraryTrees(content, engine, stale=stale, model_infos=model_infos)
        self.value_sets = content.value_set_index(missing=missing_valuesets)
        self._programs: dict[tuple[str, ...], Compiled] = {}

    def prepare(
        self,
        *measures: str,
        period: str | Period,
        now: str | None = None,
        zone: int = 0,
        parameters: Mapping[str, Any] | None = None,
        supplemental_data: bool = False,
        evaluated_resources: bool = False,
        check_shape: bool = False,
        messages: MessageSink | None = None,
    ) -> Prepared:
        """Measures ready to run for one period; without names, all measures of the content.

        ``measures`` are names, ids, canonical URLs or unambiguous beginnings (``CMS122``), each with
        ``|version`` where wanted. ``now`` is the moment of the evaluation request (the end of the period when
        not given, so that results can be repeated), ``zone`` its offset in minutes. ``parameters`` are CQL
        values for parameters other than "Measurement Period". ``check_shape`` holds every record to the shape
        of FHIR R4 before it is evaluated (see ``Prepared.evaluate``). Raises NotFoundError and ContentError
        for content that is not there or cannot be used.
        """
        found = [self.content.measure(m) for m in measures] if measures else list(self.content.measures)
        if not found:
            raise ContentError(
                "There is no Measure in the content.", mend="Add a Measure resource with its libraries."
            )
        compiled = self._compiled(found)
        asked = period if isinstance(period, Period) else Period.parse(period)
        interval = asked.interval(zone)
        moment = interval.high if now is None else parse_datetime(now, zone)
        if moment is None:
            raise ContentError(f"'{now}' is no date and time.", mend="Write 2026-12-31T12:00:00Z.")
        run = compiled.program.bind(
            {**(parameters or {}), "Measurement Period": interval},
            self.value_sets,
            _ProfilesAs(self.matching),
            now=moment,
            zone=zone,
            messages=messages,
        )
        # Libraries that are given a period of their own select their patients by it.
        own_periods = any(name.endswith(".Measurement Period") for name in parameters or ())
        return Prepared(
            compiled,
            run,
            asked,
            supplemental_data=supplemental_data,
            evaluated_resources=evaluated_resources,
            check_shape=check_shape,
            value_sets=self.value_sets,
            requirement=lambda: (
                ANYTHING if own_periods else initial_requirement(found, compiled.measures, self.trees)
            ),
            uses=lambda: (
                # where it is told what was evaluated, a resource changes something by being there
                None if own_periods or evaluated_resources else retrieve_uses(self.content, found, self.trees)
            ),
            zone=zone,
        )

    def compiled(self, *measures: str) -> Program:
        """The program of some measures (``measurewise compile --show`` prints its source)."""
        return self._compiled([self.content.measure(m) for m in measures]).program

    def _compiled(self, measures: list[MeasureContent]) -> Compiled:
        key = tuple(f"{m.url}|{m.version}|{m.id}" for m in measures)
        known = self._programs.get(key)
        if known is None:
            known = self._programs[key] = compile_measures(
                self.content,
                measures,
                self.value_sets,
                missing=self.missing_valuesets,
                trees=self.trees,
                cache=self.cache,
            )
        return known


class Prepared:
    """Measures bound to a period; evaluates any number of patients.

    ``measures`` are the definitions in the order asked for; ``notices`` what was found on the way.
    """

    def __init__(
        self,
        compiled: Compiled,
        run: Run,
        period: Period,
        *,
        supplemental_data: bool,
        evaluated_resources: bool,
        check_shape: bool,
        value_sets: ValueSetIndex,
        requirement: Callable[[], Requirement] = lambda: ANYTHING,
        uses: Callable[[], RetrieveUses | None] = lambda: None,
        zone: int = 0,
    ) -> None:
        self.program = compiled.program
        self.measures = compiled.measures
        self.notices = compiled.notices
        self.run = run
        self.period = period
        self._check_shape = check_shape
        self._apart = evaluated_resources and len(compiled.measures) > 1
        self._value_sets = value_sets
        self._requirement = requirement
        self._uses = uses
        self._zone = zone
        self._evaluators = [
            Evaluator(m, supplemental_data=supplemental_data, evaluated_resources=evaluated_resources)
            for m in compiled.measures
        ]

    def remarks(self) -> list[str]:
        """All that a person should know of the content and that stops nothing, a sentence each.

        What there is to say of profiles and value sets is known when retrieves have asked for them.
        """
        sentences = [str(notice) for notice in self.notices]
        sentences += [f"{m.name}, {n.where}: {n.what}" for m in self.measures for n in m.notices]
        told = " ".join(sentences)
        sentences += [s for s in self._value_sets.notices if s.partition(": ")[0] not in told]
        sentences += profile_table().notices
        return list(dict.fromkeys(sentences))

    @cached_property
    def prefilter(self) -> Prefilter:
        """Tells cheaply who is in no initial population of these measures, so need not be evaluated.

        Its ``requirement`` says, as data, what must be true of those who may be in one.
        """
        return Prefilter(
            self._requirement(), self.period.interval(self._zone), self._value_sets, zone=self._zone
        )

    @cached_property
    def windows(self) -> Windows:
        """Outside which time a resource changes no result of these measures, made when first asked for.

        None is known for measures that were prepared with ``evaluated_resources``.
        """
        retrievals = self.program.tables.retrievals
        return Windows(self._uses(), retrievals, self.period.interval(self._zone))

    def evaluate(self, record: Record) -> list[PatientResult]:
        """The patient's result in each measure.

        Resources are taken as they come. A measure whose logic stumbles is evaluated with copies of them that
        have the shape of FHIR R4 (``record/normalise.py``); what was changed for it is added to
        ``record.issues``, and the resources of the record stay as they are. An element that the logic reads
        without stumbling (a number compared with a code) shows only where the measures were prepared with
        ``check_shape``, which makes the copies beforehand. Raises EvaluationError, which names patient,
        measure and definition, as the CQL does and where the copies do not help.
        """
        definitions = self._start(record)
        subject = record.subject
        try:
            if self._apart:
                return [evaluator(self._anew(definitions), subject) for evaluator in self._evaluators]
            return [evaluator(definitions, subject) for evaluator in self._evaluators]
        except Exception:  # noqa: S110  attempt tells of it, measure by measure
            pass
        results: list[PatientResult] = []
        for outcome in self.attempt(record):
            if isinstance(outcome, Exception):
                raise outcome
            results.append(outcome)
        return results

    def attempt(self, record: Record) -> list[PatientResult | MeasurewiseError]:
        """As ``evaluate``, but what goes wrong in one measure stands in its place and spares the others."""
        definitions = self._start(record)
        subject = record.subject
        outcomes: list[PatientResult | Exception] = []
        for evaluator in self._evaluators:
            try:
                outcomes.append(evaluator(self._anew(definitions), subject))
            except Exception as error:
                outcomes.append(error)
        return self._attempted_again(record, subject, outcomes)

    def _start(self, record: Record) -> PatientEvaluation:
        found = self._in_shape(record) if self._check_shape else None
        return self.run.patient(record) if found is None else found

    def _anew(self, definitions: PatientEvaluation) -> PatientEvaluation:
        """The definitions for one more measure: the same, but where results tell which resources were looked
        at each measure starts with none."""
        return self.run.patient(definitions.slots[0]) if self._apart else definitions

    def _attempted_again(
        self, record: Record, subject: str, outcomes: Sequence[PatientResult | Exception]
    ) -> list[PatientResult | MeasurewiseError]:
        """The outcomes with each failure tried once more on the record in the shape of FHIR."""
        settled: list[PatientResult | MeasurewiseError] = []
        definitions: PatientEvaluation | None = None
        tried = False
        for measure, evaluator, outcome in zip(self.measures, self._evaluators, outcomes, strict=True):
            if isinstance(outcome, PatientResult):
                settled.append(outcome)
                continue
            if not tried:
                tried = True
                definitions = self._in_shape(record)
            error = outcome
            if definitions is not None:
                try:
                    settled.append(evaluator(self._anew(definitions), subject))
                    continue
                except Exception as again:
                    error = again
            settled.append(evaluation_error(error, self.program, subject, measure.name))
        return settled

    def _in_shape(self, record: Record) -> PatientEvaluation | None:
        """The definitions of the record's copy in the shape of FHIR; None where the record has it."""
        try:
            found = mended(record, elements)
        except RecursionError:
            return None
        if found is None:
            return None
        record.remark(*found.issues)
        return self.run.patient(found.record)

    def report(self, result: PatientResult, *, reporter: str | None = None, date: str | None = None) -> Json:
        """The individual MeasureReport of one of ``evaluate``'s results; see ``reporting``."""
        measure = next(m for m in self.measures if m.canonical == result.measure)
        return individual_report(measure, result, self.reporting(reporter=reporter, date=date))

    def reporting(self, *, reporter: str | None = None, date: str | None = None) -> Reporting:
        """What reports say beside results: this period, who reports (``Organization/1``), and when.

        ``date`` is a FHIR dateTime; the present moment where none is given.
        """
        moment = date or datetime.now(UTC).isoformat(timespec="seconds")
        return Reporting(self.period.start, self.period.end, moment, reporter)

    def definitions(self, record: Record) -> PatientEvaluation:
        """The patient's definitions, each evaluated when asked for."""
        return self.run.patient(record)


class _ProfilesAs(ProfileMatching):
    """The profile table under one way of matching."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def predicate(self, template: str, resource_type: str) -> Callable[[Any], bool] | None:
        """See ProfileMatching. A record has one Patient, whatever its labels say."""
        if resource_type == "Patient":
            return None
        return profile_table().predicate(template, self._matching)


__all__ = ["Engine", "MissingPolicy", "Prepared"]
