"""The target's settings, with their meaning, defaults and limits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from demandbase_api.http import Connection
from demandbase_api.job_watch import PollPolicy
from demandbase_api.models import ImportOperation
from target_demandbase.reject_policy import OnReject, RejectPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.retry import RetryPolicy

_SECONDS = th.IntegerType(minimum=1)
_TEXT_BY_NAME = th.ObjectType(additional_properties=th.StringType)

CONFIG = th.PropertiesList(
    th.Property(
        "api",
        th.StringType,
        default="v1",
        allowed_values=["v1"],
        title="API",
        description="Which of Demandbase's bulk APIs to use.",
    ),
    th.Property(
        "api_url",
        th.StringType(pattern="^https?://"),
        default="https://api.demandbase.com",
        title="API URL",
        description="Scheme and host of the API.",
    ),
    th.Property(
        "access_token",
        th.StringType(min_length=1),
        required=True,
        secret=True,
        title="Access token",
        description="Bearer token for the API.",
    ),
    th.Property(
        "operation",
        th.StringType,
        default="upsert",
        allowed_values=[operation.value for operation in ImportOperation],
        title="Operation",
        description="What Demandbase does with a row: insert, update, or upsert by match key.",
    ),
    th.Property(
        "entity_map",
        _TEXT_BY_NAME,
        title="Entity map",
        description="Stream → entity (accounts, people, opportunities or activities), "
        "for streams of other names.",
    ),
    th.Property(
        "match_keys",
        _TEXT_BY_NAME,
        title="Match keys",
        description="Entity → Demandbase field that rows are matched on; "
        "the stream's single key property where absent.",
    ),
    th.Property(
        "field_mappings",
        th.ObjectType(additional_properties=_TEXT_BY_NAME),
        title="Field mappings",
        description="Entity → {column: Demandbase field}, for columns of other names.",
    ),
    th.Property(
        "unknown_fields",
        th.StringType,
        default="fail",
        allowed_values=["fail", "drop"],
        title="Unknown fields",
        description="What to do with columns that Demandbase does not know: fail or drop.",
    ),
    th.Property(
        "batch_size_rows",
        th.IntegerType(minimum=1),
        default=100_000,
        title="Batch size",
        description="Rows in one import job at most.",
    ),
    th.Property(
        "max_file_bytes",
        th.IntegerType(minimum=1024),
        default=104_857_600,
        title="Largest file",
        description="Bytes in one import file at most.",
    ),
    th.Property(
        "on_null",
        th.StringType,
        default="blank",
        allowed_values=["blank", "omit"],
        title="On null",
        description="What null does: blank empties the field in Demandbase; omit leaves it as it "
        "is, as an absent property always does.",
    ),
    th.Property(
        "on_reject",
        th.StringType,
        default="fail",
        allowed_values=["fail", "continue"],
        title="On reject",
        description="What rejected rows do to the run: fail ends it after the batch, without its "
        "state; continue keeps them in rejects_path and goes on.",
    ),
    th.Property(
        "max_rejected_rows",
        th.IntegerType(minimum=0),
        title="Most rejected rows",
        description="With on_reject: continue, how many rejected rows a run bears; "
        "any number where absent.",
    ),
    th.Property(
        "max_rejected_percent",
        th.IntegerType(minimum=0, maximum=100),
        title="Highest share of rejected rows",
        description="With on_reject: continue, which percentage of the rows read may be rejected; "
        "any where absent.",
    ),
    th.Property(
        "rejects_path",
        th.StringType(min_length=1),
        default="rejects",
        title="Rejects folder",
        description="Folder for rejected rows and for the reports of runs; "
        "the rows hold your data.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        title="Dry run",
        description="Read and check everything and write the CSV files into rejects_path, but "
        "change nothing in Demandbase and let no state out.",
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        default=1,
        title="Concurrent jobs",
        description="How many import jobs of one stream may run at a time.",
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
        description="After how many seconds a run ends with exit code 75 that waits for a job; "
        "the next one takes the job up.",
    ),
    th.Property(
        "request_timeout_seconds",
        _SECONDS,
        default=300,
        title="Request time-out",
        description="How many seconds an answer may stay silent.",
    ),
    th.Property(
        "spool_dir",
        th.StringType,
        title="Spool folder",
        description="Folder for CSV files until they are sent and for the ledger of open jobs, "
        "which should outlive the run; the system's temporary folder where absent.",
    ),
).to_dict()

# Settings that the SDK adds to every target and that mean nothing here.
UNUSED_SDK_SETTINGS = ("load_method", "add_record_metadata")


def connection(config: Mapping[str, Any], retry: RetryPolicy) -> Connection:
    """Return where the API is, from the settings."""
    return Connection(
        api_url=config["api_url"],
        access_token=config["access_token"],
        request_timeout_seconds=config["request_timeout_seconds"],
        retry=retry,
        user_agent="target-demandbase",
    )


def poll_policy(config: Mapping[str, Any]) -> PollPolicy:
    """Return how to wait for jobs, from the settings."""
    return PollPolicy(
        interval_seconds=config["poll_interval_seconds"],
        interval_max_seconds=config["poll_interval_max_seconds"],
        timeout_seconds=config["job_timeout_seconds"],
    )


def reject_policy(config: Mapping[str, Any]) -> RejectPolicy:
    """Return when rejected rows end the run, from the settings."""
    return RejectPolicy(
        OnReject(config["on_reject"]),
        config.get("max_rejected_rows"),
        config.get("max_rejected_percent"),
    )


def ledger_folder(config: Mapping[str, Any]) -> Path:
    """Return the folder for the ledger of open jobs, from the settings."""
    base = spool_folder(config) or Path(tempfile.gettempdir())
    return base / "target-demandbase-ledger"


def rejects_folder(config: Mapping[str, Any]) -> Path:
    """Return the folder for rejected rows and reports, from the settings."""
    return Path(config["rejects_path"])


def spool_folder(config: Mapping[str, Any]) -> Path | None:
    """Return the folder for files until they are sent, from the settings."""
    folder = config.get("spool_dir")
    return Path(folder) if folder else None
