"""FHIR's rule for ids (FHIR R4, 2.24.0.1 "id")."""

from __future__ import annotations

import re
from typing import Any, Final

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def is_fhir_id(text: Any) -> bool:
    """Whether a text can be the id of a resource."""
    return isinstance(text, str) and bool(_ID.fullmatch(text))
