"""The measure engine: CQL and ELM in, population results and MeasureReports out.

What stands here is the public interface (``docs/library.md``); everything else may change. Names are imported
when first asked for, so that ``import measurewise.engine`` costs next to nothing.

>>> engine = Engine(load_content("content/"))
>>> prepared = engine.prepare("CMS122", period="2026")
>>> results = prepared.evaluate(read_record(bundle_json))
>>> prepared.report(results[0])["group"][0]["measureScore"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from measurewise.engine.compiler.cache import ProgramCache
    from measurewise.engine.content.content import Content, load_content
    from measurewise.engine.errors import (
        ContentError,
        EvaluationError,
        MeasurewiseError,
        NotFoundError,
        RecordError,
    )
    from measurewise.engine.measure.accumulate import SummaryAccumulator
    from measurewise.engine.measure.definition import MeasureDefinition
    from measurewise.engine.measure.reports.edge import to_json
    from measurewise.engine.measure.reports.individual import individual_report
    from measurewise.engine.measure.reports.parts import Reporting
    from measurewise.engine.measure.reports.subject_list import subject_list_report
    from measurewise.engine.measure.reports.summary import summary_report
    from measurewise.engine.measure.results import GroupResult, PatientResult
    from measurewise.engine.record.profiles import Matching
    from measurewise.engine.record.reading import read_record
    from measurewise.engine.record.record import Record, record_of_bundle
    from measurewise.engine.runner.period import Period
    from measurewise.engine.runner.session import Engine, Prepared

__all__ = [
    "Content",
    "ContentError",
    "Engine",
    "EvaluationError",
    "GroupResult",
    "Matching",
    "MeasureDefinition",
    "MeasurewiseError",
    "NotFoundError",
    "PatientResult",
    "Period",
    "Prepared",
    "ProgramCache",
    "Record",
    "RecordError",
    "Reporting",
    "SummaryAccumulator",
    "individual_report",
    "load_content",
    "read_record",
    "record_of_bundle",
    "subject_list_report",
    "summary_report",
    "to_json",
]

if not TYPE_CHECKING:
    # Hidden from type checkers: to them a module with __getattr__ has every name there could be.
    _HOMES = {
        "Content": "content.content",
        "ContentError": "errors",
        "Engine": "runner.session",
        "EvaluationError": "errors",
        "GroupResult": "measure.results",
        "Matching": "record.profiles",
        "MeasureDefinition": "measure.definition",
        "MeasurewiseError": "errors",
        "NotFoundError": "errors",
        "PatientResult": "measure.results",
        "Period": "runner.period",
        "Prepared": "runner.session",
        "ProgramCache": "compiler.cache",
        "Record": "record.record",
        "RecordError": "errors",
        "Reporting": "measure.reports.parts",
        "SummaryAccumulator": "measure.accumulate",
        "individual_report": "measure.reports.individual",
        "load_content": "content.content",
        "read_record": "record.reading",
        "record_of_bundle": "record.record",
        "subject_list_report": "measure.reports.subject_list",
        "summary_report": "measure.reports.summary",
        "to_json": "measure.reports.edge",
    }

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value

    def __dir__():
        return sorted({*globals(), *_HOMES})
