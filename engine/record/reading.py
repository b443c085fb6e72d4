"""A patient's record from JSON text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from measurewise.engine.errors import RecordError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.record.record import Record, record_of_bundle

_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def read_record(data: bytes, *, where: str = "") -> Record:
    """The record in the JSON of a FHIR Bundle, or of an object with a list ``resources``.

    Decimals keep their digits. ``where`` names the file or line in errors. Raises RecordError for JSON that
    cannot be read, for anything else than these two forms, and where there is no Patient or more than one.
    """
    try:
        value: Any = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if data.startswith(_BOM):
            return read_record(data.removeprefix(_BOM), where=where)
        fault = json_fault(error, data)
        raise RecordError(fault.what, where=fault.within(where), mend=fault.mend) from None
    if type(value) is not dict or "resourceType" not in value:
        if type(value) is dict and type(value.get("resources")) is list:
            return Record(value["resources"], where=where)
        what = "It has no resourceType." if type(value) is dict else "It is no JSON object."
        raise RecordError(what, where=where, mend="Give a FHIR Bundle.")
    return record_of_bundle(value, where=where)
