"""QRDA III written from MeasureReports and a small description of who reports for which programme.

===================== =================================================================================
``description``       who reports, for which programme and year; PI measures and activities (also from JSON)
``year``              what a year has: identifiers, titles, templates, programme names
``results``           MeasureReports joined to the year's GUIDs by CMS number, group, population, stratum
``supplemental``      sex, race, ethnicity and payer of a population's members
``elements``          CDA elements
``header``            the document's header
``quality_section``   the measures
``attested_sections`` Promoting Interoperability and Improvement Activities
``document``          all of it: :func:`~measurewise.qrda.category3.writing.document.write`
===================== =================================================================================
"""
