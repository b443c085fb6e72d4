"""A QRDA III report for people: who reports, and a table of every measure's counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measurewise.cli.output import Column, print_table

if TYPE_CHECKING:
    from measurewise.qrda.category3.report import Measure, Report, Section

_CODES = ("IPOP", "DENOM", "DENEX", "DENEXCEP", "NUMER")


def tell(report: Report) -> None:
    """Print a report."""
    print(f"Performance year {report.performance_year or 'unknown'}; {', '.join(report.programme_names)}")
    for name, ids in (
        ("TIN", [tin for who in report.practitioners for tin in who.tins]),
        ("NPI", [npi for who in report.practitioners for npi in who.npis]),
        ("virtual group", report.virtual_group_ids),
        ("APM entity", report.apm_entity_ids),
        ("subgroup", report.subgroup_ids),
        ("practice site", report.practice_site_ids),
        ("MVP", report.mvp_ids),
        ("CEHRT", report.cehrt_ids),
    ):
        if ids:
            print(f"{name}: {', '.join(dict.fromkeys(ids))}")
    for section in report.sections:
        _tell_section(section)


def _tell_section(section: Section) -> None:
    periods = "; ".join(f"{one.start or '?'} to {one.end or '?'}" for one in section.periods)
    title = {
        "quality": "Quality",
        "pi": "Promoting Interoperability",
        "ia": "Improvement activities",
    }[section.category]
    if section.measures:
        columns = [Column("Measure"), *(Column(code, "right") for code in _CODES), Column("Rate", "right")]
        rows = [row for measure in section.measures for row in _rows(measure)]
        print_table(f"{title}, {periods}", columns, rows)
    if section.promoting:
        columns = [
            Column("Measure"),
            Column("Numerator", "right"),
            Column("Denominator", "right"),
            Column("Answer"),
        ]
        rows = [
            [one.measure_id or "?", _number(one.numerator), _number(one.denominator), _answer(one.answer)]
            for one in section.promoting
        ]
        print_table(f"{title}, {periods}", columns, rows)
    if section.activities:
        rows = [[one.measure_id or "?", _answer(one.answer)] for one in section.activities]
        print_table(f"{title}, {periods}", [Column("Activity"), Column("Answer")], rows)


def _rows(measure: Measure) -> list[list[str]]:
    """A row for each performance rate; populations are taken in the order of the file."""
    by_code: dict[str, list[int | None]] = {}
    for one in measure.populations:
        code = "IPOP" if one.code == "IPP" else one.code or ""
        by_code.setdefault(code, []).append(one.count)
    rows = []
    for number in range(max([len(measure.rates), *map(len, by_code.values())], default=0)):
        counts = [_number(_at(by_code.get(code, []), number)) for code in _CODES]
        rate = measure.rates[number] if number < len(measure.rates) else None
        value = "" if rate is None else str(rate.value if rate.value is not None else rate.null_flavor or "")
        name = measure.ecqm_id or measure.guid or "?"
        rows.append([name if number == 0 else "", *counts, value])
    return rows


def _at(counts: list[int | None], number: int) -> int | None:
    return counts[number] if number < len(counts) else None


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _answer(answer: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[answer]
