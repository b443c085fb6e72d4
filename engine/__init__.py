"""The measure engine: CQL and ELM in, population results and MeasureReports out."""
