"""Settings of the tap: descriptions, defaults and limits, and the objects made from them."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig

from demandbase_api import config as api_config
from demandbase_api.config import (
    MAX_HOURS,
    MAX_SECONDS,
    api_url,
    checked_path,
    chosen_api,
    poll_policy,
    spool_folder,
    state,
    with_api_settings,
)
from demandbase_api.errors import ConfigurationError, SpoolError
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.export_provider import ExportPolicy
from demandbase_api.ports import ExportFilter
from demandbase_api.state.folder import EXPORT_JOURNAL
from tap_demandbase.spool import Spool
from tap_demandbase.windows import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from demandbase_api.connection import Connection
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.models import Entity
    from demandbase_api.ports import ExportCapabilities


logger = logging.getLogger("tap-demandbase")

DEFAULT_BATCH_ROWS = 100_000

_SECONDS = th.IntegerType(minimum=1, maximum=MAX_SECONDS)
_HOURS = th.IntegerType(minimum=0, maximum=MAX_HOURS)
_MAX_ROWS = 1_000_000_000
_MAX_DAYS = 36_500
"""A century."""
_ID = th.IntegerType(minimum=0)
_NAME = th.StringType(min_length=1)
_DATE = th.StringType(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")

_ENCODING = th.ObjectType(
    th.Property(
        "format",
        th.StringType,
        allowed_values=["jsonl", "parquet"],
        description="Format of the files. Default: jsonl.",
    ),
    th.Property(
        "compression",
        th.StringType,
        allowed_values=["gzip", "none"],
        description="Compression of the files. Default: gzip for jsonl, zstd inside parquet files.",
    ),
    additional_properties=False,
)

_STORAGE = th.ObjectType(
    th.Property(
        "root",
        th.StringType(min_length=1),
        required=True,
        description="A folder, or a URL such as s3://bucket/folder.",
    ),
    th.Property("prefix", th.StringType, description="Prefix of the files' names."),
    th.Property(
        "params",
        th.ObjectType(additional_properties=True),
        secret=True,
        description="Arguments of the fsspec file system behind the URL.",
    ),
    additional_properties=False,
)

_BATCH_CONFIG = th.Property(
    "batch_config",
    th.ObjectType(
        th.Property("encoding", _ENCODING, description="Format and compression of the files."),
        th.Property("storage", _STORAGE, required=True, description="Where the files are written."),
        th.Property(
            "batch_size",
            th.IntegerType(minimum=1, maximum=_MAX_ROWS),
            description=f"Maximum number of rows in a file. Default: {DEFAULT_BATCH_ROWS}.",
        ),
        additional_properties=False,
    ),
    title="Batch files",
    description="Write the rows of entities to files that BATCH messages name, instead of RECORD "
    "messages.",
)

_STREAM_OPTIONS = th.ObjectType(
    th.Property("key_properties", th.ArrayType(th.StringType)),
    th.Property("replication_key", th.StringType),
    th.Property("account_list_id", th.StringType),
    th.Property("account_list_ids", th.ArrayType(_ID)),
    th.Property("person_list_ids", th.ArrayType(_ID)),
    th.Property("ad_report_type", th.StringType(min_length=1)),
    th.Property("source", th.ArrayType(th.StringType)),
    th.Property("columns", th.ArrayType(th.StringType)),
    th.Property("lookback_days", th.IntegerType(minimum=0, maximum=_MAX_DAYS)),
    th.Property("lenient_numbers", th.BooleanType),
    additional_properties=False,
)

_CONFIG = th.PropertiesList(
    th.Property(
        "discovery_cache_hours",
        _HOURS,
        default=24,
        title="Discovery cache",
        description="With api: uapi, hours for which discovered fields are cached in state_dir, "
        "since the API allows 60 such calls a day; 0 disables the cache.",
    ),
    th.Property(
        "start_date",
        _DATE,
        title="Start date",
        description="Date at which the first run of an incremental stream starts (ISO 8601, UTC). "
        "Default: the oldest record; activities with api: uapi begin 89 days back.",
    ),
    th.Property(
        "end_date",
        _DATE,
        title="End date",
        description="Last date that incremental streams export (ISO 8601, UTC). Default: today.",
    ),
    th.Property(
        "entities",
        th.ArrayType(_NAME),
        title="Entities",
        description="Entities to discover. Default: all entities of the tenant.",
    ),
    th.Property(
        "stream_options",
        th.ObjectType(additional_properties=_STREAM_OPTIONS),
        title="Stream options",
        description="Options by stream: key_properties, the fields that identify a record; "
        "replication_key, the date field that makes the stream incremental; account_list_id and "
        "lookback_days, which override the settings for all streams; lenient_numbers, true to "
        "read whole-number fields as numbers; with api: uapi also account_list_ids, "
        "person_list_ids, ad_report_type and source (for campaigns and creatives), and columns "
        "(for the members of lists, whose columns are not documented).",
    ),
    th.Property(
        "fail_on_empty",
        th.ArrayType(_NAME),
        title="Fail on empty",
        description="Streams of entities that fail if a run sends no row of them. Their bookmarks "
        "do not move then. Default: none.",
    ),
    th.Property(
        "account_list_id",
        th.StringType(min_length=1),
        title="Account list",
        description="Export only records that belong to this Demandbase account list.",
    ),
    th.Property(
        "window_days",
        th.IntegerType(minimum=1, maximum=_MAX_DAYS),
        title="Window",
        description="Days that one job of an incremental stream covers. A longer range is split "
        "into several jobs, and the state is written after each. Default: the whole range.",
    ),
    th.Property(
        "lookback_days",
        th.IntegerType(minimum=0, maximum=_MAX_DAYS),
        default=3,
        title="Look-back",
        description="Days before the bookmark that an incremental run exports again, since "
        "Demandbase's data can arrive late.",
    ),
    th.Property(
        "job_timeout_seconds",
        _SECONDS,
        default=21600,
        title="Job time-out",
        description="Seconds in which a job must be created and complete. Later, it is cancelled "
        "and its stream fails.",
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1, maximum=1000),
        title="Concurrent jobs",
        description="Maximum number of export jobs that run at a time. Default: 2 with v1, and 1 "
        "with uapi, which allows no more.",
    ),
    th.Property(
        "job_reuse_hours",
        _HOURS,
        default=6,
        title="Job reuse",
        description="Maximum age, in hours, of an interrupted run's job that the tap may reuse; 0 "
        "disables reuse.",
    ),
    th.Property(
        "quota_wait_hours",
        _HOURS,
        default=0,
        title="Quota wait",
        description="Hours to wait for a new quota if the daily quota is used up, instead of "
        "ending with exit code 75.",
    ),
    th.Property(
        "request_timeout_seconds",
        _SECONDS,
        default=300,
        title="Request time-out",
        description="Seconds without data, or with less than 1 KiB a second, after which a request "
        "or a download fails.",
    ),
    th.Property(
        "spool_dir",
        th.StringType,
        title="Spool folder",
        description="Folder for downloaded files while they are read, and for what is in state_dir "
        "if that is not set. Default: the system's temporary folder.",
    ),
    th.Property(
        "activate_version",
        th.BooleanType,
        default=False,
        title="Activate versions",
        description="Let the target remove what Demandbase no longer has: records of full-table "
        "streams have a version, and ACTIVATE_VERSION follows a complete export. The target must "
        "support that. Not with batch_config.",
    ),
    _BATCH_CONFIG,
).to_dict()

CONFIG = with_api_settings(_CONFIG)


def connection(config: Mapping[str, Any], retry: RetryPolicy) -> Connection:
    """Return the connection to the API."""
    return api_config.connection(config, retry, "tap-demandbase")


def export_policy(
    config: Mapping[str, Any], retry: RetryPolicy, capabilities: ExportCapabilities
) -> ExportPolicy:
    """Return the policy by which export jobs are run."""
    return ExportPolicy(
        max_concurrent_jobs=config.get("max_concurrent_jobs") or capabilities.concurrent_jobs,
        job_reuse_hours=float(config["job_reuse_hours"]),
        retry=retry,
        quota_wait_hours=float(config["quota_wait_hours"]),
        poll=poll_policy(config),
    )


def export_journal(config: Mapping[str, Any]) -> ExportJournal:
    """Return the journal of the export jobs; one in memory if a folder cannot keep it.

    Raises:
        SpoolError: The place that machines share cannot be used.
    """
    place, store = state(config), None
    try:
        store = place.store(EXPORT_JOURNAL)
    except SpoolError as error:
        if place.is_shared:
            raise
        logger.warning("The export jobs of this run cannot be recorded in state_dir: %s", error)
    return ExportJournal(store, api_url(config), config["job_reuse_hours"])


def spool(config: Mapping[str, Any]) -> Spool:
    """Return the spool for intermediate files."""
    return Spool(spool_folder(config))


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Settings of one stream: its own, else those of all streams.

    Args:
        key_properties: Fields that identify a record, if set.
        replication_key: Date field of the bookmark, if set.
        account_list_id: Only records of this account list.
        lookback_days: Days before the bookmark that an incremental run exports again.
        lenient_numbers: Whether fields of whole numbers may hold fractions.
        window_days: Days that one job covers; ``None`` for all.
        start_date: Start of the first incremental run.
        end_date: Last date of incremental runs; ``None`` for today.
        account_list_ids: Only records of these account lists; overrides ``account_list_id``.
        person_list_ids: Only people of these lists.
        ad_report_type: Type of the advertising report.
        sources: Advertising sources.
        max_days: Days that one job may cover at most; ``None`` for no limit.
        fail_on_empty: Whether the stream fails if a run sends no row of it.
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
    max_days: int | None = None
    fail_on_empty: bool = False

    @property
    def account_lists(self) -> tuple[str, ...]:
        """Account lists to filter by; none for all records."""
        one = () if self.account_list_id is None else (self.account_list_id,)
        return self.account_list_ids or one


def stream_options(config: Mapping[str, Any], stream: str) -> StreamOptions:
    """Return the settings of a stream.

    Raises:
        ConfigurationError: A date is invalid.
    """
    own = (config.get("stream_options") or {}).get(stream) or {}
    keys = own.get("key_properties")
    own_list = [own["account_list_id"]] if own.get("account_list_id") else ()
    end = _timestamp(config, "end_date")
    return StreamOptions(
        key_properties=None if keys is None else tuple(keys),
        replication_key=own.get("replication_key"),
        account_list_id=own.get("account_list_id", config.get("account_list_id")),
        lookback_days=own.get("lookback_days", config["lookback_days"]),
        lenient_numbers=own.get("lenient_numbers", False),
        window_days=config.get("window_days"),
        start_date=_timestamp(config, "start_date"),
        end_date=None if end is None else end.date(),
        # A list of the stream's own is always requested, even if the API may reject it.
        account_list_ids=tuple(map(str, own.get("account_list_ids") or own_list)),
        person_list_ids=tuple(map(str, own.get("person_list_ids") or ())),
        ad_report_type=own.get("ad_report_type"),
        sources=tuple(own.get("source") or ()),
        fail_on_empty=stream in (config.get("fail_on_empty") or ()),
    )


def _timestamp(config: Mapping[str, Any], name: str) -> datetime | None:
    text = config.get(name)
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError:
        raise ConfigurationError(
            f"The setting {name} is no ISO-8601 date or date-time, such as 2026-01-31."
        ) from None


def batch_config(config: Mapping[str, Any]) -> BatchConfig | None:
    """Return the setting ``batch_config`` with its defaults; ``None`` for RECORD messages.

    Raises:
        ConfigurationError: No file can be written to the storage.
    """
    raw = config.get("batch_config")
    if not raw:
        return None
    encoding = {"format": "jsonl", **(raw.get("encoding") or {})}
    size = raw.get("batch_size") or DEFAULT_BATCH_ROWS
    complete = BatchConfig.from_dict({**raw, "encoding": encoding, "batch_size": size})
    checked_path("batch_config.storage.root", complete.storage.root)
    checked_path("batch_config.storage.prefix", complete.storage.prefix or "")
    try:
        url = complete.storage.get_url("file")
        # Nothing is sent, but the package of the file system is imported.
        root = complete.storage._root_path  # noqa: SLF001 - no public method does only that
        _ = root.fs
        if url.startswith("file:"):
            Path(root.path).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=root.path).close()
    except ImportError:
        raise ConfigurationError(
            "The URL in batch_config.storage.root needs a package that is not installed; for "
            "s3:// that is s3fs: install singer-sdk[s3] in addition to the tap."
        ) from None
    # The error's text may quote settings, such as a key.
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        raise ConfigurationError(
            f"Nothing can be stored at batch_config.storage.root{f' ({reason})' if reason else ''}:"
            " set it to a folder that can be written, or to a URL such as s3://bucket/folder."
        ) from None
    return complete


def check_versions(config: Mapping[str, Any]) -> None:
    """Check that records can have a version, if they are to have one.

    Raises:
        ConfigurationError: BATCH messages, which have none, are to be written as well.
    """
    if config["activate_version"] and config.get("batch_config"):
        raise ConfigurationError(
            "The settings activate_version and batch_config exclude each other: rows in batch "
            "files have no version, so a target would remove them. Leave one of them out."
        )


def announced_encoding(config: BatchConfig) -> BaseBatchFileEncoding:
    """Return the encoding that BATCH messages announce.

    Without a compression, jsonl is compressed by gzip, as in the SDK; Parquet files name zstd
    themselves.

    Args:
        config: The setting ``batch_config`` with its defaults.
    """
    encoding = config.encoding
    is_gzip = encoding.compression == "gzip" or (
        encoding.compression is None and encoding.format == "jsonl"
    )
    return BaseBatchFileEncoding(encoding.format, "gzip" if is_gzip else None)


_FILTERS = {
    "account_list_ids": ExportFilter.ACCOUNT_LISTS,
    "person_list_ids": ExportFilter.PERSON_LISTS,
    "ad_report_type": ExportFilter.REPORT_TYPE,
    "source": ExportFilter.SOURCES,
}


def check_filters(config: Mapping[str, Any], capabilities: ExportCapabilities) -> None:
    """Check that the API supports the filters that are set.

    Raises:
        ConfigurationError: It does not support one of them.
    """
    for stream, own in (config.get("stream_options") or {}).items():
        for option, export_filter in _FILTERS.items():
            if own.get(option) and export_filter not in capabilities.filters:
                raise ConfigurationError(
                    f"The setting stream_options.{stream}.{option} needs an API that can filter "
                    f"exports by {export_filter.value}, which api: {chosen_api(config)} cannot: "
                    "remove it, or use api: uapi."
                )


def check_columns(config: Mapping[str, Any], entity: Entity) -> None:
    """Check that columns are set only for entities whose fields the API does not list.

    Raises:
        ConfigurationError: The API lists the fields of the entity.
    """
    own = (config.get("stream_options") or {}).get(entity.name) or {}
    if own.get("columns") and not entity.is_list:
        raise ConfigurationError(
            f"The setting stream_options.{entity.name}.columns is only for the members of lists, "
            "whose columns the API does not list: remove it, and select fields in the catalog."
        )


def column_advice(entity: Entity) -> str:
    """Return the advice for a file that lacks a column, without a full stop."""
    if entity.is_list:
        return f"Set stream_options.{entity.name}.columns to the columns of such files"
    return "Run discovery again"
