"""Streams of the values that other data name by ids, such as personas and buyer roles."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import typing as th
from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import DemandbaseError
from tap_demandbase.errors import SelectionError
from tap_demandbase.job_streams import ListStream

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from demandbase_api.clock import Clock
    from demandbase_api.models import ReferenceObject
    from demandbase_api.ports import ExportApi


_PREFIX = "reference_"
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DIGEST_BYTES = 8
_OPTIONAL_SECONDS = 30
"""Seconds for the list of the objects if no selected stream needs it."""


class ReferenceStream(ListStream):
    """The values of a reference object.

    Args:
        tap: The tap.
        api: The export API.
        reference: The object.
    """

    primary_keys = ("id",)
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "id",
            th.StringType,
            required=True,
            description="Id of the value; a digest of all its members if the values have no ids.",
        ),
        th.Property("name", th.StringType, description="Name of the value."),
        th.Property(
            "data",
            th.ObjectType(additional_properties=True),
            description="All members of the value, which depend on the reference object.",
        ),
    ).to_dict()

    def __init__(self, tap: Tap, api: ExportApi, reference: ReferenceObject) -> None:
        super().__init__(tap, name=stream_name(reference.name))
        self._api = api
        self._reference = reference

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        values = self._api.reference_values(self._reference.name)
        for value_id, value in zip(value_ids(values), values, strict=True):
            name = value.get("name")
            yield {"id": value_id, "name": name if isinstance(name, str) else None, "data": value}


def stream_name(reference: str) -> str:
    """Return the name of the stream of a reference object."""
    words = _WORD_START.sub("_", reference).lower()
    return _PREFIX + re.sub(r"[^a-z0-9]+", "_", words).strip("_")


def value_ids(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what identifies each value: its id if all have ids of their own, else a digest."""
    ids = [_id(value.get("id")) for value in values]
    known = [each for each in ids if each is not None]
    return known if len(set(known)) == len(values) else [_digest(value) for value in values]


def _id(found: object) -> str | None:
    is_id = isinstance(found, (int, str)) and not isinstance(found, bool) and found != ""
    return str(found) if is_id else None


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def selected_references(api: ExportApi, selected: Collection[str] | None) -> frozenset[str]:
    """Return the streams of reference values among those that a catalog selects."""
    if not api.capabilities.references:
        return frozenset()
    return frozenset(name for name in selected or () if name.startswith(_PREFIX))


def reference_streams(
    tap: Tap,
    api: ExportApi,
    selected: Collection[str] | None,
    logger: logging.Logger,
    clock: Clock,
) -> tuple[list[ReferenceStream], dict[str, DemandbaseError]]:
    """Return the streams of reference values, and why selected ones cannot be read, by name.

    The objects are listed for discovery, and for a catalog that selects some of the streams.

    Args:
        tap: The tap.
        api: The export API.
        selected: Names of the streams that a catalog selects; ``None`` without a catalog.
        logger: Receives a warning if the objects cannot be listed and no stream needs them.
        clock: Time.

    Raises:
        DemandbaseError: A stream needs the list, and the error ends the run.
    """
    wanted = selected_references(api, selected)
    if not api.capabilities.references or (selected is not None and not wanted):
        return [], {}
    try:
        deadline = NO_DEADLINE if wanted else Deadline.after(clock, _OPTIONAL_SECONDS)
        listed = [ReferenceStream(tap, api, each) for each in api.references(deadline)]
    except DemandbaseError as error:
        if not wanted:
            logger.warning("The streams of reference values are left out: %s", error)
            return [], {}
        if error.ends_run:
            raise
        return [], dict.fromkeys(sorted(wanted), error)
    streams = {stream.name: stream for stream in listed}
    missing = sorted(wanted - streams.keys())
    return list(streams.values()), {name: _missing(name, streams) for name in missing}


def _missing(stream: str, known: Iterable[str]) -> SelectionError:
    return SelectionError(
        f"Stream {stream}: the catalog selects it, and Demandbase does not have these reference "
        f"values (any more). It has {', '.join(known) or 'none'}. Deselect the stream.",
        stream=stream,
    )
