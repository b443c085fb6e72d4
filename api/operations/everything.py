"""``Patient/$everything`` (FHIR R4, https://hl7.org/fhir/R4/patient-operation-everything.html)."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from measurewise.api.fhir.arguments import Declared, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.types import STORED
from measurewise.api.services.everything import Wanted, everything_page
from measurewise.store.search import MOST

_PARAMETERS: Final = (
    Declared("start", "date", "Only what was cared for on or after this day."),
    Declared("end", "date", "Only what was cared for on or before this day."),
    Declared("_since", "instant", "Only what has changed since."),
    Declared("_type", "string", "Resource types, separated by commas.", maximum=None),
    Declared("_count", "integer", "Resources a page."),
    Declared("_after", "string", "Where a page begins; from a next link."),
)


def everything(call: Call) -> Reply:
    """A page of a patient's resources, and of those they refer to; without an id, of all patients'.

    Raises NoSuchResourceError for a patient who is not there.
    """
    arguments = call.arguments
    identity = call.target[1]
    types = tuple(kind for text in arguments.all("_type") for kind in text.split(",") if kind)
    for kind in types:
        if kind not in STORED:
            raise refused("_type", f"is '{kind}', which is no resource type")
    if identity is None and call.access.patient is not None:
        identity = call.access.patient
    count = arguments.one("_count")
    if count is not None and count < 1:
        raise refused("_count", "is less than 1")
    after = arguments.text("_after") or "0"
    if re.fullmatch(r"[0-9]{1,18}", after) is None:
        raise RequestError("there is no such page.", where="_after", mend="Follow next links.")
    wanted = Wanted(
        identity,
        types,
        arguments.text("start"),
        arguments.text("end"),
        arguments.text("_since"),
        min(count or MOST, MOST),
        int(after),
    )
    with call.services.database.read() as connection:
        page = everything_page(connection, call.access, wanted)
    where = f"{call.base}/Patient/{identity}/$everything" if identity else f"{call.base}/Patient/$everything"
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    if page.next is not None:
        kept = [
            (name, str(value))
            for name in ("start", "end", "_since", "_type", "_count")
            for value in arguments.all(name)
        ]
        following = urlencode([*kept, ("_after", page.next)])
        bundle["link"] = [{"relation": "next", "url": f"{where}?{following}"}]
    entries = [
        {
            "fullUrl": f"{call.base}/{found.reference}",
            "resource": msgspec.Raw(found.body),
            "search": {"mode": mode},
        }
        for mode, resources in (("match", page.matches), ("include", page.included))
        for found in resources
    ]
    if entries:
        bundle["entry"] = entries
    patients = tuple(dict.fromkeys(found.patient for found in page.matches if found.patient))
    return Reply(bundle, touched=(f"Patient/{identity}",) if identity else (), patients=patients)


OPERATION: Final = Operation(
    "everything",
    "All of a patient's data",
    "Patient",
    ("type", "instance"),
    _PARAMETERS,
    everything,
    definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
)
