"""From what is wanted to the body of a job's creation; pure functions."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from demandbase_api.uapi.entities import BY_NAME, UapiEntity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demandbase_api.models import DateRange, ExportRequest

MAX_IDS = 10_000
_DIGEST_BYTES = 10
_ALL_SOURCES = "all"


def request_body(request: ExportRequest) -> dict[str, Any]:
    """Return the body that creates a job; its name tells this very request from any other.

    Raises:
        ConfigurationError: The API cannot do what is wanted.
    """
    entity = BY_NAME[request.entity]
    body = _members(entity, request)
    return {"jobName": job_name(request), **body}


def job_name(request: ExportRequest) -> str:
    """Return the name of the job for a request, at most 50 characters.

    Raises:
        ConfigurationError: The API cannot do what is wanted.
    """
    body = _members(BY_NAME[request.entity], request)
    if "fields" in body:
        body["fields"] = sorted(body["fields"])
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"singer {request.entity} {digest}"


def _members(entity: UapiEntity, request: ExportRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if entity.type:
        body = {"entityType": entity.type, "fields": list(request.fields), "format": "CSV"}
        if request.date_range is not None:
            body |= _days(entity, request.date_range)
    if request.account_lists:
        body["accountListIds"] = _numbers(entity.name, "account_list_ids", request.account_lists)
    if request.person_lists:
        body["personListIds"] = _numbers(entity.name, "person_list_ids", request.person_lists)
    if request.ids:
        body["accountIds"] = _numbers(entity.name, "account ids", request.ids)
    if request.report_type is not None:
        body["adReportType"] = request.report_type
    if request.sources and not entity.is_report:
        raise ConfigurationError(
            f"The setting stream_options.{entity.name}.source is for advertising reports only: "
            "take it away."
        )
    if entity.is_report:
        body["source"] = sorted(set(request.sources)) or [_ALL_SOURCES]
    return body


def _days(entity: UapiEntity, days: DateRange) -> dict[str, Any]:
    if entity.max_days is not None:
        if days.start is None:
            raise ConfigurationError(
                f"Stream {entity.name} needs a first day where there is a last one: set start_date."
            )
        return {"fromDate": days.start.isoformat(), "toDate": days.end.isoformat()}
    # All of the last day, also where the field has a time of day.
    rules = [("Less Than", days.end + timedelta(days=1))]
    if days.start is not None:
        rules.insert(0, ("Greater Than or Equal To", days.start))
    return {
        "filters": [
            {"field": days.field, "operator": operator, "values": [day.isoformat()]}
            for operator, day in rules
        ]
    }


def _numbers(stream: str, what: str, ids: Sequence[str]) -> list[int]:
    """Return ids as the numbers that they have to be, sorted, each once."""
    if not all(text.isascii() and text.isdigit() for text in ids):
        raise ConfigurationError(
            f"Stream {stream}: on this API {what} are whole numbers, and one of them is none. "
            "Check the settings stream_options and account_list_id."
        )
    numbers = sorted({int(text) for text in ids})
    if len(numbers) > MAX_IDS:
        raise ConfigurationError(
            f"Stream {stream}: a job takes at most {MAX_IDS:,} {what}, and there are "
            f"{len(numbers):,}. Name fewer of them."
        )
    return numbers
