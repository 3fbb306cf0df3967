"""What ``--test`` does: all that can be checked without an export job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_demandbase.tap import TapDemandbase


def run(tap: TapDemandbase) -> bool:
    """Check credentials, discovery and the job list.

    Raises:
        DemandbaseError: One of them fails.
    """
    streams = len(tap.streams)
    next(iter(tap.export_api.jobs()), None)
    tap.logger.info(
        "The credentials are good, discovery finds %d streams, and export jobs can be listed. "
        "No export job was created.",
        streams,
    )
    return True
