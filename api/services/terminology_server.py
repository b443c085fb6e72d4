"""Value sets from a terminology server: ``$expand`` page by page, or VSAC's older service (SVS).

FHIR R4, https://hl7.org/fhir/R4/valueset-operation-expand.html. VSAC: https://cts.nlm.nih.gov/fhir with the
user's UMLS key as the password of the user ``apikey``
(https://www.nlm.nih.gov/vsac/support/usingvsac/vsacfhirapi.html); its Sharing Value Sets service:
https://www.nlm.nih.gov/vsac/support/usingvsac/vsacsvsapiv2.html.
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from measurewise.engine.terminology.canonical import VSAC_VALUE_SET, split_canonical, value_set_key
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.signin import Basic
from measurewise.qrda.category1.code_systems import code_system_uri

VSAC: Final = "https://cts.nlm.nih.gov/fhir"
SVS: Final = "https://vsac.nlm.nih.gov/vsac/svs"
PAGE: Final = 1000
_MOST_PAGES: Final = 10_000
_SVS_NAMESPACE: Final = "{urn:ihe:iti:svs:2008}"


def umls_key(key: str) -> Basic:
    """The sign-in with a UMLS key."""
    return Basic("apikey", key)


async def expanded(client: FhirClient, canonical: str, *, page: int = PAGE) -> dict[str, Any]:
    """The value set with its whole expansion, put together from the server's pages.

    ``canonical`` is a URL, with ``|version`` where wanted, or an OID. Raises SourceError where the server
    does not know it or its pages do not come to the total that it states.
    """
    url, version = split_canonical(canonical)
    key = value_set_key(url)
    asked = [("url", key)]
    path = "ValueSet/$expand"
    if key.startswith(VSAC_VALUE_SET):
        # VSAC knows value sets by OID in the address; any server of its content does by URL.
        oid = key.removeprefix(VSAC_VALUE_SET)
        if "nlm.nih.gov" in client.base_url:
            path, asked = f"ValueSet/{oid}/$expand", []
    if version:
        asked.append(("valueSetVersion", version))
    found: dict[str, Any] | None = None
    members: list[Any] = []
    for _ in range(_MOST_PAGES):
        answer = await client.get(path, [*asked, ("offset", str(len(members))), ("count", str(page))])
        expansion = answer.get("expansion") if isinstance(answer, dict) else None
        if not isinstance(expansion, dict):
            raise SourceError("the server's answer has no expansion.", where=canonical, code="structure")
        part = expansion.get("contains") or []
        total = expansion.get("total")
        found = found or answer
        if found["expansion"].get("total") != total:
            raise SourceError(
                "the expansion changed while its pages were read.", where=canonical, mend="Try again."
            )
        members += part
        if not part or not isinstance(total, int) or len(members) >= total:
            return _whole(found, members, total, canonical)
    raise SourceError("the expansion has no end.", where=canonical, code="incomplete")


def _whole(found: dict[str, Any], members: list[Any], total: Any, canonical: str) -> dict[str, Any]:
    if isinstance(total, int) and len(members) < total:
        raise SourceError(
            f"the server said that there are {total} codes, and gave {len(members)}.",
            where=canonical,
            code="incomplete",
        )
    expansion = {
        name: value for name, value in found["expansion"].items() if name not in ("offset", "contains")
    }
    whole = {name: value for name, value in found.items() if name != "expansion"}
    return {**whole, "expansion": {**expansion, "total": len(members), "contains": members}}


async def from_svs(client: FhirClient, canonical: str) -> list[dict[str, Any]]:
    """The value sets that RetrieveMultipleValueSets gives for an OID. Raises SourceError."""
    url, version = split_canonical(canonical)
    oid = value_set_key(url).removeprefix(VSAC_VALUE_SET)
    asked = [("id", oid), *([("version", version)] if version else [])]
    response = await client.send(
        "GET",
        client.url("RetrieveMultipleValueSets"),
        parameters=asked,
        headers={"Accept": "application/xml"},
    )
    return read_svs(response.content)


def read_svs(xml: bytes) -> list[dict[str, Any]]:
    """The value sets in an answer of the Sharing Value Sets service. Raises SourceError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise SourceError(
            f"the answer is no XML ({error}).", where="RetrieveMultipleValueSets", code="structure"
        ) from None
    found = [_of_svs(element) for element in root.iter(f"{_SVS_NAMESPACE}DescribedValueSet")]
    if not found:
        raise SourceError(
            "the answer holds no value set.", where="RetrieveMultipleValueSets", code="not-found"
        )
    return found


def _of_svs(element: Any) -> dict[str, Any]:
    oid, version = element.get("ID"), element.get("version")
    contains = []
    for concept in element.iter(f"{_SVS_NAMESPACE}Concept"):
        member = {
            "system": code_system_uri(concept.get("codeSystem", ""), concept.get("codeSystemName")),
            "version": concept.get("codeSystemVersion"),
            "code": concept.get("code"),
            "display": concept.get("displayName"),
        }
        contains.append({name: value for name, value in member.items() if value})
    expansion: dict[str, Any] = {"total": len(contains), "contains": contains}
    revised = element.findtext(f"{_SVS_NAMESPACE}RevisionDate")
    if revised:
        expansion["timestamp"] = revised
    found = {
        "resourceType": "ValueSet",
        "id": f"{oid}-{version}" if version else oid,
        "url": VSAC_VALUE_SET + str(oid),
        "version": version,
        "title": element.get("displayName"),
        "status": "active",
        "expansion": expansion,
    }
    return {name: value for name, value in found.items() if value}
