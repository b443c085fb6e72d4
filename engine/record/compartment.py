"""Whom a resource is about: the elements by which R4 resources name their patient.

FHIR R4, CompartmentDefinition/patient. Only the elements that say whose data a resource is are taken, not
every element that may mention a patient (an author, a focus).
"""

from __future__ import annotations

from typing import Any

import msgspec


class Head(msgspec.Struct):
    """The elements of a resource that tell what it is and whom it is about; any may be of any shape."""

    resourceType: Any = None
    id: Any = None
    resources: Any = None
    subject: Any = None
    patient: Any = None
    beneficiary: Any = None
    individual: Any = None
    for_: Any = msgspec.field(default=None, name="for")
    candidate: Any = None

    def patient_named(self) -> str | None:
        """The id of the patient whom the resource is about, or None."""
        elements = (self.subject, self.patient, self.beneficiary, self.individual, self.for_, self.candidate)
        for element in elements:
            reference = element.get("reference") if type(element) is dict else None
            if type(reference) is str:
                parts = reference.partition("/_history/")[0].split("/")
                if len(parts) > 1 and parts[-2] == "Patient":
                    return parts[-1]
        return None

    def compartment(self) -> str | None:
        """The id of the patient in whose compartment the resource is; a Patient is in its own."""
        if self.resourceType == "Patient":
            return self.id if type(self.id) is str else None
        return self.patient_named()


decode_head = msgspec.json.Decoder(Head).decode
"""A resource's head from its JSON text; raises msgspec.MsgspecError where the text is no JSON object."""
