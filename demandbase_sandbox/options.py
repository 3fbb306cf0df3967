"""How a sandbox behaves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - whoever resolves the annotations needs it
from typing import TYPE_CHECKING

from demandbase_sandbox.sample import DEFAULT_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_sandbox.faults import Fault

WEEK_SECONDS = 7 * 24 * 3600.0
MAX_PORT = 65535
ROW_NUMBER_BASES = (0, 1, 2)
"""Of the first data row: counted from 0, from 1, or with the header line as 1."""


_MOST_SECONDS = 10**9
_MOST_BYTES = 10**15
_BOUNDS = {
    "port": (0, MAX_PORT),
    "files_port": (0, MAX_PORT),
    "part_rows": (1, 10**9),
    "max_page_size": (1, 10**9),
    "max_error_page_size": (1, 10**9),
    # Seconds are added to dates, which end in the year 9999.
    "pending_seconds": (0, _MOST_SECONDS),
    "processing_seconds": (0, _MOST_SECONDS),
    "job_expires_seconds": (0, _MOST_SECONDS),
    "link_expires_seconds": (0, _MOST_SECONDS),
    "daily_export_bytes": (0, _MOST_BYTES),
    "max_upload_bytes": (0, _MOST_BYTES),
}


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
        row_number_base: Number of the first data row in row errors: 0, 1 or 2.
        direct_download: Whether files come from the API itself instead of a signed link.
        byte_order_mark: Whether parts start with a BOM.
        gzip: Whether parts are gzip files.

    Raises:
        ValueError: It cannot be meant like this; the sentence says why.
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
    gzip: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if unknown := sorted(self.rows.keys() - DEFAULT_ROWS.keys()):
            raise ValueError(f"rows of unknown entities: {', '.join(unknown)}")
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise ValueError("the token is of printable ASCII characters without blanks")
        if self.row_number_base not in ROW_NUMBER_BASES:
            raise ValueError("row_number_base is 0, 1 or 2")
        if any(count < 0 for count in self.rows.values()):
            raise ValueError("rows are not below 0")
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is a number from {least} to {most}")
