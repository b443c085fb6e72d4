"""QRDA I documents written by hand, of one patient."""

from __future__ import annotations

_HEAD = """<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><effectiveTime value="20261101"/><recordTarget>
  <patientRole><id root="1.2.3" extension="a"/><patient>
  <name><given>Ada</given><family>Ohm</family></name>
  <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="19600203"/>
  </patient></patientRole></recordTarget><component><structuredBody><component><section>
  <templateId root="2.16.840.1.113883.10.20.17.2.4"/>"""
_TAIL = "</section></component></structuredBody></component></ClinicalDocument>"
PRESSURE = """<entry><observation classCode="OBS" moodCode="EVN">
  <templateId root="2.16.840.1.113883.10.20.24.3.59"/><id root="{id}"/>
  <code code="{code}" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
  <effectiveTime value="{time}"/><value xsi:type="PQ" value="{value}" unit="mm[Hg]"/></observation></entry>"""


def document(*entries: str) -> bytes:
    return (_HEAD + "".join(entries) + _TAIL).encode()
