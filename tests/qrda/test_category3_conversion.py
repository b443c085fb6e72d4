"""A report's way from XML to a QPP submission, on a small report of our own."""

from __future__ import annotations

import pytest
from lxml import etree

from measurewise.qrda.category3.conversion import Conversion, convert
from measurewise.qrda.year_data import YEARS, year_data

MEASURE = next(one for one in year_data(2025).measures.values() if one.ecqm_id.startswith("CMS165v"))
GROUP = MEASURE.reported_groups[0].populations
COUNTS = {"IPOP": "100", "DENOM": "100", "DENEX": "10", "NUMER": "60"}
PERIOD = """<entry><act><templateId root="2.16.840.1.113883.10.20.17.3.8"/>
<effectiveTime><low value="20250101"/><high value="20251231"/></effectiveTime></act></entry>"""


def _count(value: str) -> str:
    return f"""<entryRelationship><observation><templateId root="2.16.840.1.113883.10.20.27.3.3"/>
<value value="{value}"/></observation></entryRelationship>"""


def _population(code: str, value: str) -> str:
    return f"""<component><observation><templateId root="2.16.840.1.113883.10.20.27.3.16"/>
<value code="{code}"/>{_count(value)}<reference><externalObservation><id root="{GROUP[code]}"/>
</externalObservation></reference></observation></component>"""


def _quality(counts: dict[str, str]) -> str:
    populations = "".join(_population(code, value) for code, value in counts.items())
    return f"""<component><section><templateId root="2.16.840.1.113883.10.20.27.2.1" extension="2020-12-01"/>
<templateId root="2.16.840.1.113883.10.20.27.2.3" extension="2022-05-01"/>{PERIOD}<entry><organizer>
<templateId root="2.16.840.1.113883.10.20.27.3.17"/><reference><externalDocument>
<id root="2.16.840.1.113883.4.738" extension="{MEASURE.uuid}"/></externalDocument></reference>
{populations}</organizer></entry></section></component>"""


PROMOTING = f"""<component><section><templateId root="2.16.840.1.113883.10.20.27.2.5"/>{PERIOD}
<entry><organizer><templateId root="2.16.840.1.113883.10.20.27.3.28"/>
<reference><externalDocument><id root="2.16.840.1.113883.3.7031" extension="PI_EP_1"/></externalDocument>
</reference>
<component><observation><templateId root="2.16.840.1.113883.10.20.27.3.31"/>{_count("5")}
</observation></component>
<component><observation><templateId root="2.16.840.1.113883.10.20.27.3.32"/>{_count("8")}
</observation></component>
</organizer></entry></section></component>"""


def _report(
    *sections: str, programme: str = "MIPS_GROUP", tin: str = "123456789", template: str = "2024-12-01"
) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
<templateId root="2.16.840.1.113883.10.20.27.1.2" extension="{template}"/>
<informationRecipient><intendedRecipient>
<id root="2.16.840.1.113883.3.249.7" extension="{programme}"/></intendedRecipient></informationRecipient>
<participant><associatedEntity><id root="2.16.840.1.113883.3.2074.1" extension="0015CABCDEFGHIJ"/>
</associatedEntity></participant>
<documentationOf><serviceEvent><performer><assignedEntity><representedOrganization>
<id root="2.16.840.1.113883.4.2" extension="{tin}"/></representedOrganization></assignedEntity></performer>
</serviceEvent></documentationOf>
<component><structuredBody>{"".join(sections)}</structuredBody></component>
</ClinicalDocument>""".encode()


def _codes(answer: Conversion) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return answer.codes, answer.cms_codes


def test_a_sound_report_becomes_a_submission() -> None:
    answer = convert(_report(_quality(COUNTS), PROMOTING))
    assert (answer.status, answer.codes, answer.errors) == ("OK", (), ())
    period = {"performanceStart": "2025-01-01", "performanceEnd": "2025-12-31", "source": "qrda3"}
    sent = {"submissionMethod": "electronicHealthRecord", "cehrtId": "0015CABCDEFGHIJ", "programName": "mips"}
    assert answer.qpp == {
        "performanceYear": 2025,
        "entityType": "group",
        "taxpayerIdentificationNumber": "123456789",
        "measurementSets": [
            {
                "category": "quality",
                "measurements": [
                    {
                        "measureId": MEASURE.measure_id,
                        "value": {
                            "isEndToEndReported": True,
                            "performanceMet": 60,
                            "performanceNotMet": 30,
                            "eligiblePopulation": 100,
                            "eligiblePopulationExclusion": 10,
                        },
                    }
                ],
                **sent,
                **period,
            },
            {
                "category": "pi",
                "measurements": [{"measureId": "PI_EP_1", "value": {"numerator": 5, "denominator": 8}}],
                **sent,
                **period,
            },
        ],
    }


@pytest.mark.parametrize(
    ("counts", "codes", "cms"),
    [
        ({**COUNTS, "IPOP": "99"}, (13,), (13,)),
        ({**COUNTS, "IPOP": "ten"}, (9,), (3,)),
        ({**COUNTS, "NUMER": "60.5"}, (9,), (9,)),
        ({**COUNTS, "NUMER": "-1"}, (53,), (53,)),
        ({**COUNTS, "NUMER": "101"}, (1004,), ()),
        ({code: count for code, count in COUNTS.items() if code != "DENEX"}, (14, 59), (14, 59)),
    ],
)
def test_counts_that_cannot_be_are_told(
    counts: dict[str, str], codes: tuple[int, ...], cms: tuple[int, ...]
) -> None:
    assert _codes(convert(_report(_quality(counts)))) == (codes, cms)


def test_rules_of_the_submissions_api_fail_a_report_that_cms_converts() -> None:
    answer = convert(_report(PROMOTING, programme="MIPS_INDIV", tin=""))
    assert (answer.status, answer.codes) == ("ERR", (1002, 1003))
    assert (answer.cms_status, answer.cms_codes) == ("OK", ())
    assert answer.qpp is not None


SEX = """<entryRelationship><observation><templateId root="2.16.840.1.113883.10.20.27.3.6"/>
<value code="F"/><entryRelationship><observation><templateId root="2.16.840.1.113883.10.20.27.3.3"/>%s
</observation></entryRelationship></observation></entryRelationship>"""


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ('<value code="DENEX"/>', "", (14, 58, 59)),
        ('<value code="DENEX"/>', '<value code="DENEX"/><value code="NUMER"/>', (58,)),
        (f'<id root="{GROUP["DENEX"]}"/>', "", (57, 59)),
        (f'<id root="{GROUP["DENEX"]}"/>', f'<id root="{GROUP["DENEX"]}"/>' * 2, (57,)),
        ('<value code="DENEX"/>', '<value code="DENEX"/>' + SEX % '<value value="7"/>', ()),
        ('<value code="DENEX"/>', '<value code="DENEX"/>' + SEX % '<value value="7.5"/>', (9,)),
        ('<value code="DENEX"/>', '<value code="DENEX"/>' + SEX % "", (8,)),
        ('<value code="DENEX"/>', '<value code="DENEX"/>' + SEX % ('<value value="7"/>' * 2), (8,)),
    ],
)
def test_populations_have_one_type_one_guid_and_counts_throughout(
    old: str, new: str, codes: tuple[int, ...]
) -> None:
    report = _report(_quality(COUNTS)).decode()
    assert old in report
    answer = convert(report.replace(old, new).encode())
    assert _codes(answer) == (codes, codes)


def test_a_count_that_is_no_number_stops_cms_only_where_it_is_compared() -> None:
    report = _report(_quality({**COUNTS, "IPOP": "ten"})).decode()
    answer = convert(report.replace(GROUP["DENOM"], "00000000-0000-0000-0000-000000000000").encode())
    assert _codes(answer) == ((9, 59), (9, 59))


def test_a_quality_section_has_a_measure() -> None:
    quality = _quality(COUNTS)
    empty = quality[: quality.index("<entry><organizer>")] + "</section></component>"
    assert _codes(convert(_report(empty))) == ((81,), (81,))


def test_a_promoting_interoperability_measure_stands_in_its_own_section() -> None:
    proportion = PROMOTING[PROMOTING.index("<entry><organizer>") : PROMOTING.index("</section>")]
    report = _report(_quality(COUNTS).replace("</section>", f"{proportion}</section>"))
    assert _codes(convert(report)) == ((15,), (15,))


def test_more_than_a_hundred_errors_are_told_as_too_many() -> None:
    entry = _quality({**COUNTS, "NUMER": "x"})
    measure = entry[entry.index("<entry><organizer>") : entry.index("</section>")]
    for times, codes in ((100, (9, 71)), (101, (9, 71, 82))):
        answer = convert(
            _report(_quality(COUNTS).replace("</section>", measure * (times - 1) + "</section>"))
        )
        assert answer.codes == codes
        assert len(answer.errors) == times + (times > 100)


def test_a_second_quality_section_is_told_with_its_own_code() -> None:
    assert _codes(convert(_report(_quality(COUNTS), _quality(COUNTS)))) == ((28,), (27,))


def test_populations_of_app_reports_are_checked() -> None:
    counts = {code: count for code, count in COUNTS.items() if code != "DENEX"}
    answer = convert(_report(_quality(counts), programme="APP_PLUS_GROUP"))
    assert _codes(answer) == ((14, 59), ())


@pytest.mark.parametrize("template", ["2021-05-01", "2022-12-01"])
def test_a_template_of_another_year_is_no_report_of_this_one(template: str) -> None:
    assert convert(_report(PROMOTING, template=template)).codes == (5,)


def test_measures_tell_the_year_where_template_and_period_do_not() -> None:
    guids = {
        year: next(one.uuid for one in year_data(year).measures.values() if one.ecqm_id.startswith("CMS165v"))
        for year in (2023, 2024)
    }
    for year, guid in guids.items():
        quality = _quality(COUNTS).replace(MEASURE.uuid, guid).replace("2025", "2018")
        answer = convert(_report(quality, template="2022-12-01"))
        assert 1001 in answer.codes
        assert 6 not in answer.codes, year


def test_a_template_of_a_year_that_is_not_judged_is_named() -> None:
    (error,) = convert(_report(PROMOTING, template="2021-07-01")).errors
    assert error.finding.code == 5
    assert error.finding.message.endswith("performance year 2022; years from 2023 on are judged here.")
    (error,) = convert(_report(PROMOTING, template="2024-07-01")).errors
    assert "replaced by 2024-12-01" in error.finding.message


def test_an_error_points_to_its_element() -> None:
    data = _report(_quality({**COUNTS, "NUMER": "-1"}))
    (error,) = convert(data).errors
    lines = data.decode().splitlines()
    assert lines[error.line - 1][error.column - 1 :].startswith("<observation>")
    (element,) = etree.fromstring(data).xpath(error.path)
    assert element.find("{*}value").get("value") == "-1"
    assert element.find("../../{*}value").get("code") == "NUMER"
    assert "whole number greater than or equal to 0" in error.finding.message


@pytest.mark.parametrize("year", YEARS)
def test_every_measure_of_a_year_has_its_identifiers(year: int) -> None:
    measures = year_data(year).measures.values()
    assert len(measures) >= 46
    for measure in measures:
        assert measure.reported_groups, measure.ecqm_id
        for group in measure.reported_groups:
            assert {"IPOP", "DENOM", "NUMER"} <= set(group.populations)
