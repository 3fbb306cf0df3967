"""Brings one part of an export onto the disk, whole or not at all."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, BinaryIO

from demandbase_api.errors import (
    ApiError,
    DownloadError,
    InterruptedDownloadError,
    NotFoundError,
    SpoolError,
    TransientError,
)
from demandbase_api.operations import ApiOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.ports import ExportApi
    from demandbase_api.retry import RetryPolicy


class _LinkRefusedError(TransientError):
    """The link has expired or is not there (yet): a fresh one may work."""


def download_part(  # noqa: PLR0913 - all of them are what a download is
    api: ExportApi,
    *,
    job_id: str,
    entity: str,
    part: int,
    file: BinaryIO,
    retry: RetryPolicy,
    progress: Callable[[int], None],
) -> int:
    """Download a part into an empty file; each try asks for a new link and starts over.

    Args:
        api: Where the job is.
        job_id: The job.
        entity: What the job is about, for messages.
        part: Which part, counted from 1.
        file: An empty file, opened for writing; it stands at its start afterwards.
        retry: How often to try.
        progress: Told the bytes received so far, after each chunk.

    Returns:
        The part's size in bytes.

    Raises:
        DownloadError: The part could not be had.
        SpoolError: The disk did not take it.
    """

    def attempt() -> int:
        file.seek(0)
        file.truncate()
        try:
            return _receive(api, job_id, part, file, progress)
        except NotFoundError as error:
            raise _LinkRefusedError(
                error.operation,
                error.problem,
                status=error.status,
                server_message=error.server_message,
            ) from None

    try:
        size = retry.retrying(attempt)()
    except ApiError as error:
        raise DownloadError(
            f"Part {part} of the export job {job_id} for {entity} could not be downloaded: {error}",
            kind="export",
            job_id=job_id,
            entity=entity,
            part=part,
        ) from error
    except OSError as error:
        raise spool_error(error) from error
    file.seek(0)
    return size


def _receive(
    api: ExportApi, job_id: str, part: int, file: BinaryIO, progress: Callable[[int], None]
) -> int:
    received = 0
    with api.open_part(job_id, part) as body:
        for chunk in body.chunks():
            file.write(chunk)
            received += len(chunk)
            progress(received)
        if body.size is not None and received != body.size:
            raise InterruptedDownloadError(
                ApiOperation.DOWNLOAD_PART, f"sent {received} of {body.size} bytes"
            )
    return received


def spool_error(error: OSError) -> SpoolError:
    """Return the error for a spool folder that does not take a file."""
    reason = (
        "it has no room left" if error.errno == errno.ENOSPC else (error.strerror or "it failed")
    )
    return SpoolError(
        f"The folder for intermediate files cannot be written: {reason}. "
        "Free some room, or point the setting spool_dir at a larger or writable folder."
    )
