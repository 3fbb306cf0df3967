"""What the settings say of one stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from demandbase_api.ports import ExportFilter
from tap_demandbase.moment import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from demandbase_api.models import Entity
    from demandbase_api.ports import ExportCapabilities


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
        account_list_ids: Only accounts of these lists; in the place of ``account_list_id``.
        person_list_ids: Only people of these lists.
        ad_report_type: Which report of advertising.
        sources: Where the advertising ran.
    """

    key_properties: tuple[str, ...] | None
    replication_key: str | None
    account_list_id: str | None
    lookback_days: int
    lenient_numbers: bool
    window_days: int | None
    start_date: datetime | None
    end_date: date | None
    account_list_ids: tuple[str, ...] = ()
    person_list_ids: tuple[str, ...] = ()
    ad_report_type: str | None = None
    sources: tuple[str, ...] = ()

    @property
    def account_lists(self) -> tuple[str, ...]:
        """The account lists to narrow by; none for all accounts."""
        one = () if self.account_list_id is None else (self.account_list_id,)
        return self.account_list_ids or one

    def at_most_days(self, days: int | None) -> StreamOptions:
        """Return the options with windows of no more days than one job takes."""
        if days is None:
            return self
        return replace(self, window_days=min(self.window_days or days, days))


def options_of(config: Mapping[str, Any], stream: str) -> StreamOptions:
    """Return a stream's options.

    Raises:
        ConfigurationError: A date is none.
    """
    own = (config.get("stream_options") or {}).get(stream) or {}
    keys = own.get("key_properties")
    own_list = [own["account_list_id"]] if own.get("account_list_id") else ()
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
        # A list that is set for the stream itself is asked for, also where that is refused.
        account_list_ids=tuple(map(str, own.get("account_list_ids") or own_list)),
        person_list_ids=tuple(map(str, own.get("person_list_ids") or ())),
        ad_report_type=own.get("ad_report_type"),
        sources=tuple(own.get("source") or ()),
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


_FILTERS = {
    "account_list_ids": ExportFilter.ACCOUNT_LISTS,
    "person_list_ids": ExportFilter.PERSON_LISTS,
    "ad_report_type": ExportFilter.REPORT_TYPE,
    "source": ExportFilter.SOURCES,
}


def check_columns(config: Mapping[str, Any], entity: Entity) -> None:
    """Make sure that the columns of an entity are to be chosen, where they are.

    Raises:
        ConfigurationError: They are not: the API tells its fields.
    """
    own = (config.get("stream_options") or {}).get(entity.name) or {}
    if own.get("columns") and not entity.is_list:
        raise ConfigurationError(
            f"The setting stream_options.{entity.name}.columns is only for the members of lists, "
            "whose columns nobody tells: take it away, and select fields in the catalog."
        )


def column_advice(entity: Entity) -> str:
    """Return what to do where an entity's file lacks a column, without a full stop."""
    if entity.is_list:
        return f"Set stream_options.{entity.name}.columns to those that such files have"
    return "Run discovery again"


def check_filters(config: Mapping[str, Any], capabilities: ExportCapabilities) -> None:
    """Make sure that the API can narrow jobs as the settings say.

    Raises:
        ConfigurationError: It cannot.
    """
    for stream, own in (config.get("stream_options") or {}).items():
        for option, narrowed_by in _FILTERS.items():
            if own.get(option) and narrowed_by not in capabilities.filters:
                raise ConfigurationError(
                    f"The setting stream_options.{stream}.{option} needs an API that can narrow "
                    f"exports by {narrowed_by.value}, which api: {config['api']} cannot: take it "
                    "away, or use api: uapi."
                )
