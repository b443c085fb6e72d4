"""Measure packages in: measures, libraries and value sets from folders and bundles."""
