"""The tap's settings, with their meaning, defaults and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from demandbase_api import config as api_config
from demandbase_api.config import poll_policy, spool_folder, with_api_settings
from demandbase_api.jobs.export_scheduler import ExportPolicy
from demandbase_api.jobs.submitter import QuotaPatience
from tap_demandbase.batch_settings import BATCH_CONFIG
from tap_demandbase.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.connection import Connection
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.ports import ExportCapabilities

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
