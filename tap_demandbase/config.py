"""The tap's settings, with their meaning, defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig

from demandbase_api import config as api_config
from demandbase_api.config import poll_policy, spool_folder, with_api_settings
from demandbase_api.errors import ConfigurationError
from demandbase_api.jobs.export_scheduler import ExportPolicy
from demandbase_api.jobs.submitter import QuotaPatience
from demandbase_api.ports import ExportFilter
from tap_demandbase.spool import Spool
from tap_demandbase.windows import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from demandbase_api.connection import Connection
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.models import Entity
    from demandbase_api.ports import ExportCapabilities


DEFAULT_ROWS = 100_000

_ENCODING = th.ObjectType(
    th.Property(
        "format",
        th.StringType,
        allowed_values=["jsonl", "parquet"],
        description="Format of the files; jsonl where absent.",
    ),
    th.Property(
        "compression",
        th.StringType,
        allowed_values=["gzip", "none"],
        description="gzip where absent for jsonl, zstd within the file for parquet.",
    ),
    additional_properties=False,
)

_STORAGE = th.ObjectType(
    th.Property(
        "root",
        th.StringType(min_length=1),
        required=True,
        description="A folder, or an address such as s3://bucket/folder.",
    ),
    th.Property("prefix", th.StringType, description="What the files' names begin with."),
    th.Property(
        "params",
        th.ObjectType(additional_properties=True),
        description="Arguments of the file system (fsspec) behind the address.",
    ),
    additional_properties=False,
)

BATCH_CONFIG = th.Property(
    "batch_config",
    th.ObjectType(
        th.Property("encoding", _ENCODING, description="How the files are written."),
        th.Property("storage", _STORAGE, required=True, description="Where the files go."),
        th.Property(
            "batch_size",
            th.IntegerType(minimum=1),
            description=f"Rows in one file at most; {DEFAULT_ROWS} where absent.",
        ),
        additional_properties=False,
    ),
    title="Batch files",
    description="Send the entities' rows as files of BATCH messages, not as RECORD messages.",
)


def announced_encoding(config: BatchConfig) -> BaseBatchFileEncoding:
    """Return what BATCH messages say of the files.

    Where nothing is set, jsonl is packed by gzip, as the SDK has it; Parquet tells of zstd itself.

    Args:
        config: The setting, complete.
    """
    wanted = config.encoding
    is_packed = wanted.compression == "gzip" or (
        wanted.compression is None and wanted.format == "jsonl"
    )
    return BaseBatchFileEncoding(wanted.format, "gzip" if is_packed else None)


def batch_config(config: Mapping[str, Any]) -> BatchConfig | None:
    """Return the setting, complete; ``None`` where rows go out as RECORD messages.

    Raises:
        ConfigurationError: Nothing can be stored at its address.
    """
    raw = config.get("batch_config")
    if not raw:
        return None
    encoding = {"format": "jsonl", **(raw.get("encoding") or {})}
    size = raw.get("batch_size") or DEFAULT_ROWS
    complete = BatchConfig.from_dict({**raw, "encoding": encoding, "batch_size": size})
    try:
        complete.storage.get_url("file")
    except ImportError:
        raise ConfigurationError(
            "The address in batch_config.storage.root needs a package that is not installed; for "
            "s3:// that is s3fs: install singer-sdk[s3] beside the tap."
        ) from None
    # Its text may quote what is set, a key among it.
    except (OSError, TypeError, ValueError):
        raise ConfigurationError(
            "Nothing can be stored at batch_config.storage.root: set it to a folder, or to an "
            "address such as s3://bucket/folder."
        ) from None
    return complete


_SECONDS = th.IntegerType(minimum=1)

_ID = th.IntegerType(minimum=0)

_DATE = th.StringType(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")

_CONFIG = th.PropertiesList(
    th.Property(
        "discovery_cache_hours",
        th.IntegerType(minimum=0),
        default=24,
        title="Discovery cache",
        description="With api: uapi, for how many hours what was discovered is kept in "
        "spool_dir, since a day allows 60 calls; 0 to ask each time.",
    ),
    th.Property(
        "start_date",
        _DATE,
        title="Start date",
        description="Where the first run of an incremental stream begins (ISO-8601, UTC); "
        "at its oldest record where absent.",
    ),
    th.Property(
        "end_date",
        _DATE,
        title="End date",
        description="Last day of incremental streams (ISO-8601, UTC); today where absent.",
    ),
    th.Property(
        "entities",
        th.ArrayType(th.StringType),
        title="Entities",
        description="Discover only these entities; all that the tenant has where absent.",
    ),
    th.Property(
        "stream_options",
        th.ObjectType(
            additional_properties=th.ObjectType(
                th.Property("key_properties", th.ArrayType(th.StringType)),
                th.Property("replication_key", th.StringType),
                th.Property("account_list_id", th.StringType),
                th.Property("account_list_ids", th.ArrayType(_ID)),
                th.Property("person_list_ids", th.ArrayType(_ID)),
                th.Property("ad_report_type", th.StringType(min_length=1)),
                th.Property("source", th.ArrayType(th.StringType)),
                th.Property("columns", th.ArrayType(th.StringType)),
                th.Property("lookback_days", th.IntegerType(minimum=0)),
                th.Property("lenient_numbers", th.BooleanType),
                additional_properties=False,
            ),
        ),
        title="Stream options",
        description="By stream: key_properties, the fields that identify a record; "
        "replication_key, the date field that makes it incremental; account_list_id and "
        "lookback_days in place of the settings for all streams; lenient_numbers, true to read "
        "whole-number fields as numbers; with api: uapi also account_list_ids, person_list_ids, "
        "ad_report_type and source (for campaigns and creatives), and columns (for the members "
        "of lists, whose columns are documented nowhere).",
    ),
    th.Property(
        "account_list_id",
        th.StringType(min_length=1),
        title="Account list",
        description="Export only what belongs to this account list of Demandbase.",
    ),
    th.Property(
        "window_days",
        th.IntegerType(minimum=1),
        title="Window",
        description="Days that one job of an incremental stream covers; all where absent. "
        "A long range is cut into several jobs, and the state goes out after each.",
    ),
    th.Property(
        "lookback_days",
        th.IntegerType(minimum=0),
        default=3,
        title="Look-back",
        description="Days before the bookmark that an incremental run asks for again, "
        "since Demandbase's data can arrive late.",
    ),
    th.Property(
        "poll_interval_seconds",
        _SECONDS,
        default=2,
        title="Poll interval",
        description="First wait between two looks at a job, in seconds; it grows by half.",
    ),
    th.Property(
        "poll_interval_max_seconds",
        _SECONDS,
        default=60,
        title="Longest poll interval",
        description="Longest wait between two looks at a job, in seconds.",
    ),
    th.Property(
        "job_timeout_seconds",
        _SECONDS,
        default=21600,
        title="Job time-out",
        description="After how many seconds a job that still runs is cancelled and the run fails.",
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        title="Concurrent jobs",
        description="How many export jobs may run at a time; where absent, 2 with v1 and 1 with "
        "uapi, which allows no more.",
    ),
    th.Property(
        "job_reuse_hours",
        th.IntegerType(minimum=0),
        default=6,
        title="Job reuse",
        description="Up to which age in hours a job of an interrupted run is adopted instead of "
        "a new one; 0 for never.",
    ),
    th.Property(
        "quota_wait_hours",
        th.IntegerType(minimum=0),
        default=0,
        title="Quota wait",
        description="How many hours to wait for a new quota where the day's is used up, "
        "instead of ending with exit code 75.",
    ),
    th.Property(
        "request_timeout_seconds",
        _SECONDS,
        default=300,
        title="Request time-out",
        description="How many seconds an answer or a download may stay silent.",
    ),
    th.Property(
        "spool_dir",
        th.StringType,
        title="Spool folder",
        description="Folder for downloaded files while they are read, and with api: uapi for "
        "the count of the day's calls and what was discovered, which should outlive the run; "
        "the system's temporary folder where absent.",
    ),
    BATCH_CONFIG,
).to_dict()

CONFIG = with_api_settings(_CONFIG)


def connection(config: Mapping[str, Any], retry: RetryPolicy) -> Connection:
    """Return where the API is, from the settings."""
    return api_config.connection(config, retry, "tap-demandbase")


def export_policy(
    config: Mapping[str, Any], retry: RetryPolicy, capabilities: ExportCapabilities
) -> ExportPolicy:
    """Return how export jobs are run, from the settings and from what the API can do."""
    return ExportPolicy(
        max_concurrent_jobs=config.get("max_concurrent_jobs") or capabilities.concurrent_jobs,
        job_reuse_hours=float(config["job_reuse_hours"]),
        retry=retry,
        quota=QuotaPatience(float(config["quota_wait_hours"])),
        poll=poll_policy(config),
    )


def spool(config: Mapping[str, Any]) -> Spool:
    """Return the spool, from the settings."""
    return Spool(spool_folder(config))


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


def stream_options(config: Mapping[str, Any], stream: str) -> StreamOptions:
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
        return parse_timestamp(text)
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
