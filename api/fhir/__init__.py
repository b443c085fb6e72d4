"""FHIR over HTTP: requests, resources, searches, bundles and failures as FHIR R4 says them."""
