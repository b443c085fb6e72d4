"""A small QRDA III report that is in order."""

REPORT = """<ClinicalDocument xmlns="urn:hl7-org:v3">
<templateId root="2.16.840.1.113883.10.20.27.1.2" extension="2024-12-01"/>
<informationRecipient><intendedRecipient><id root="2.16.840.1.113883.3.249.7" extension="MIPS_APMENTITY"/>
</intendedRecipient></informationRecipient><documentationOf><serviceEvent><performer><assignedEntity>
<representedOrganization><id root="2.16.840.1.113883.3.249.5.4" extension="X12345"/></representedOrganization>
</assignedEntity></performer></serviceEvent></documentationOf><component><structuredBody><component><section>
<templateId root="2.16.840.1.113883.10.20.27.2.4"/><entry><act>
<templateId root="2.16.840.1.113883.10.20.17.3.8"/><effectiveTime><low value="20250101"/>
<high value="20251231"/>
</effectiveTime></act></entry><entry><organizer><templateId root="2.16.840.1.113883.10.20.27.3.33"/>
<reference><externalDocument><id root="2.16.840.1.113883.3.7034" extension="IA_PM_2"/></externalDocument>
</reference><component><observation><templateId root="2.16.840.1.113883.10.20.27.3.27"/><value code="Y"/>
</observation></component></organizer></entry></section></component></structuredBody></component>
</ClinicalDocument>"""
