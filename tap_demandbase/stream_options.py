"""What the settings say of one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from tap_demandbase.moment import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The settings of one stream: its own, else those for all.

    Args:
        key_properties: The fields that identify a record, where they are set.
        replication_key: The date field that bookmarks go by, where it is set.
        account_list_id: Only accounts of this list.
        lookback_days: How far behind the bookmark an incremental run begins.
        lenient_numbers: Whether whole-number fields may hold fractions.
        window_days: How many days one job covers; ``None`` for all.
        start_date: Where the first incremental run begins.
        end_date: Where incremental runs end; ``None`` for today.
    """

    key_properties: tuple[str, ...] | None
    replication_key: str | None
    account_list_id: str | None
    lookback_days: int
    lenient_numbers: bool
    window_days: int | None
    start_date: datetime | None
    end_date: date | None


def options_of(config: Mapping[str, Any], stream: str) -> StreamOptions:
    """Return a stream's options.

    Raises:
        ConfigurationError: A date is none.
    """
    own = (config.get("stream_options") or {}).get(stream) or {}
    keys = own.get("key_properties")
    end = _moment(config, "end_date")
    return StreamOptions(
        key_properties=None if keys is None else tuple(keys),
        replication_key=own.get("replication_key"),
        account_list_id=own.get("account_list_id", config.get("account_list_id")),
        lookback_days=own.get("lookback_days", config["lookback_days"]),
        lenient_numbers=own.get("lenient_numbers", False),
        window_days=config.get("window_days"),
        start_date=_moment(config, "start_date"),
        end_date=None if end is None else end.date(),
    )


def _moment(config: Mapping[str, Any], name: str) -> datetime | None:
    text = config.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        raise ConfigurationError(
            f"The setting {name} is no ISO-8601 date or date-time, such as 2026-01-31."
        ) from None
