"""How a sandbox behaves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - pydantic-free, but dataclass users resolve it
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_sandbox.faults import Fault

WEEK_SECONDS = 7 * 24 * 3600.0


def new_token() -> str:
    """Return a token in the shape of a JWT."""
    return ".".join(("eyJhbGciOiJub25lIn0", secrets.token_urlsafe(24), secrets.token_urlsafe(16)))


@dataclass(frozen=True)
class SandboxOptions:
    """What a sandbox can be told at its start.

    Args:
        port: Port of the API; 0 takes a free one.
        files_port: Port of the host behind signed links; 0 takes a free one.
        token: The bearer token that is accepted; made up where empty.
        seed: Seed of the sample tenant: the same seed, the same tenant.
        rows: Rows of the sample tenant by entity, beside the defaults.
        data: SQLite file to keep the tenant in; a temporary one where absent.
        faults: Trouble to make from the start.
        part_rows: Rows in one part of an export.
        pending_seconds: How long a job waits (an import: validates).
        processing_seconds: How long a job is worked on.
        job_expires_seconds: How long a completed export can be downloaded.
        link_expires_seconds: How long a signed link works.
        daily_export_bytes: Bytes of completed exports a UTC day after which creating is 429.
        max_upload_bytes: Size over which an upload is 413.
        max_page_size: Jobs on one page at most, whatever ``limit`` says.
        max_error_page_size: Row errors on one page at most.
        row_number_base: Number of the first data row in row errors.
        direct_download: Whether files come from the API itself instead of a signed link.
        byte_order_mark: Whether parts start with a BOM.
    """

    port: int = 0
    files_port: int = 0
    token: str = field(default_factory=new_token, repr=False)
    seed: int = 1
    rows: Mapping[str, int] = field(default_factory=dict)
    data: Path | None = None
    faults: tuple[Fault, ...] = ()
    part_rows: int = 500
    pending_seconds: float = 0.2
    processing_seconds: float = 0.3
    job_expires_seconds: float = WEEK_SECONDS
    link_expires_seconds: float = 300
    daily_export_bytes: int = 10 * 10**9
    max_upload_bytes: int = 100 * 2**20
    max_page_size: int = 100
    max_error_page_size: int = 1000
    row_number_base: int = 1
    direct_download: bool = False
    byte_order_mark: bool = False
