"""Which days a run of a stream asks for, if it asks by days at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from tap_demandbase.bookmark import Bookmark
from tap_demandbase.replication import Replication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from demandbase_api.models import Entity
    from tap_demandbase.stream_options import StreamOptions


def replication_of(  # noqa: PLR0913 - all of them bear on it
    entity: Entity,
    options: StreamOptions,
    properties: Mapping[str, Mapping[str, Any]],
    *,
    key: str | None,
    is_incremental: bool,
    bookmark: Callable[[str], Bookmark],
    today: date,
) -> Replication | None:
    """Return the incremental run, or the days that a full one is cut into; ``None`` for neither.

    Args:
        entity: What is exported.
        options: The stream's settings.
        properties: JSON Schema by property.
        key: The replication key, where there is one.
        is_incremental: Whether the run goes on where the last one ended.
        bookmark: Returns the bookmark of a replication key.
        today: The UTC day of the request.

    Raises:
        ConfigurationError: The replication key is no date field, or a first day is needed and
            none is given.
        StateError: The state cannot be read.
    """
    days, name = entity.max_days, entity.name
    if not is_incremental:
        if days is None:
            return None
        key = options.replication_key or entity.date_field
    if not key:
        needs = "is to be incremental" if days is None else "is exported by days"
        raise ConfigurationError(
            f"Stream {name} {needs} and has no replication key. Set "
            f"stream_options.{name}.replication_key to a date field."
        )
    kind = properties.get(key, {}).get("format")
    if kind not in {"date", "date-time"}:
        raise ConfigurationError(
            f"The replication key {key} of stream {name} is no date field. Set "
            f"stream_options.{name}.replication_key, or replication-key in the catalog, "
            "to one that is."
        )
    mark = bookmark(key) if is_incremental else Bookmark()
    if days is not None and mark.value is None and options.start_date is None:
        raise ConfigurationError(
            f"Stream {name} is exported by days on this API, and no first day is given: "
            "set start_date, or leave the stream out."
        )
    options = options.at_most_days(days)
    return Replication(key, mark, options, today, whole_days=kind == "date")
