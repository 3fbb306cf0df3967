"""The tap's settings, with their meaning, defaults and limits."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from demandbase_api.download import spool_error
from demandbase_api.http import Connection
from demandbase_api.job_life import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from demandbase_api.retry import RetryPolicy

_SECONDS = th.IntegerType(minimum=1)

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
                additional_properties=False,
            ),
        ),
        title="Stream options",
        description="By stream: key_properties, the fields that identify a record.",
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
        description="Folder for downloaded files while they are read; "
        "the system's temporary folder where absent.",
    ),
).to_dict()


@dataclass(frozen=True)
class Spool:
    """Where downloaded files lie while they are read.

    Args:
        folder: The folder; the system's temporary one where absent.
    """

    folder: Path | None

    def open(self) -> BinaryIO:
        """Return a new, empty file that is gone once it is closed or the process ends.

        Raises:
            SpoolError: The folder cannot be used.
        """
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self.folder, prefix="tap-demandbase-")
        except OSError as error:
            raise spool_error(error) from error


def connection(config: Mapping[str, Any], retry: RetryPolicy) -> Connection:
    """Return where the API is, from the settings."""
    return Connection(
        api_url=config["api_url"],
        access_token=config["access_token"],
        request_timeout_seconds=config["request_timeout_seconds"],
        retry=retry,
        user_agent="tap-demandbase",
    )


def poll_policy(config: Mapping[str, Any]) -> PollPolicy:
    """Return how to wait for jobs, from the settings."""
    return PollPolicy(
        interval_seconds=config["poll_interval_seconds"],
        interval_max_seconds=config["poll_interval_max_seconds"],
        timeout_seconds=config["job_timeout_seconds"],
    )


def spool(config: Mapping[str, Any]) -> Spool:
    """Return the spool, from the settings."""
    folder = config.get("spool_dir")
    return Spool(Path(folder) if folder else None)
