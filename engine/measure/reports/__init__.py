"""MeasureReports rendered from results, one builder a kind.

======================== ==============================================================================
``individual``           one patient (DEQM Individual MeasureReport)
``subject_list``         a population by its subjects (DEQM Subject List MeasureReport)
``summary``              a population by its numbers (DEQM Summary MeasureReport)
``data_collection``      the data of one patient without a result (DEQM Data Exchange MeasureReport)
``edge``                 JSON with decimals as they are, and validation against fhir.resources
======================== ==============================================================================
"""
