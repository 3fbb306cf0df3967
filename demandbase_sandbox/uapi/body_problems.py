"""Published codes for what a request's validation found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_sandbox.refusal import RefusalError, bad_request, sentence_of
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.operations import EXPORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEMBER_CODES = {
    "jobName": "400-126",
    "entityType": "400-127",
    "fromDate": "400-111",
    "toDate": "400-111",
    "format": "400-116",
    "source": "400-138",
    "adReportType": "400-139",
    "accountListId": "400-129",
    "accountListIds": "400-129",
    "personListIds": "400-141",
    "accountIds": "400-148",
}
"""Codes of members that hold a wrong type, by the member; others are 400-103."""


def refusal_of(path: str, problems: Sequence[Any]) -> RefusalError:
    """Return the refusal of a request that is not of its operation's shape."""
    if not path.startswith(f"{EXPORT_PREFIX}/"):
        return bad_request(sentence_of(problems))
    kind, place = problems[0]["type"], problems[0]["loc"][1:]
    unknown = [item for item in problems if item["type"] == "extra_forbidden"]
    detail = sentence_of(unknown or problems[:1])
    if unknown:
        return coded("400-147", detail)
    if not place or kind.startswith("json"):
        return coded("400-102")
    if kind == "missing" and place[0] != "jobName":
        return coded("400-104", detail)
    return coded(_MEMBER_CODES.get(str(place[0]), "400-103"), detail)
