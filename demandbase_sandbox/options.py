"""The options of a sandbox, with their defaults and bounds."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from demandbase_sandbox.faults import Fault
from demandbase_sandbox.operations import DAILY_CALLS
from demandbase_sandbox.tenant.sample import DEFAULT_ROWS

WEEK_SECONDS = 7 * 24 * 3600.0
MAX_PORT = 65535
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]

Count = Annotated[int, Field(ge=1, le=10**9)]

# Seconds are added to dates, which end in the year 9999.
Seconds = Annotated[float, Field(ge=0, le=10**9)]

Bytes = Annotated[int, Field(ge=0, le=10**15)]


def new_token() -> str:
    """Return a random token in the form of a JWT."""
    return ".".join(("eyJhbGciOiJub25lIn0", secrets.token_urlsafe(24), secrets.token_urlsafe(16)))


def _new_client_id() -> str:
    return f"client-{secrets.token_hex(8)}"


def _new_secret() -> str:
    return secrets.token_urlsafe(24)


_CONFIG = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


@dataclass(frozen=True, config=_CONFIG)
class SandboxOptions:
    """Options of a sandbox.

    Raises:
        ValueError: An option is invalid.
    """

    port: Port = 0
    """Port of the v1 API; 0 for any free one."""
    files_port: Port = 0
    """Port of the host behind signed links; 0 for any free one."""
    token: str = field(default_factory=new_token, repr=False)
    """Bearer token to accept. Default: random."""
    seed: int = 1
    """Seed of the sample tenant and of the faults' probabilities."""
    rows: Mapping[str, Annotated[int, Field(ge=0)]] = field(default_factory=dict)
    """Number of sample rows by entity, in place of the defaults."""
    data: Path | None = None
    """SQLite file of the tenant's rows. Default: temporary."""
    faults: tuple[Fault, ...] = ()
    """Faults from the start; for the command, a JSON file with a list of them."""
    part_rows: Count = 500
    """Rows in one part of an export."""
    pending_seconds: Seconds = 0.2
    """Seconds before a job's processing begins."""
    processing_seconds: Seconds = 0.3
    """Seconds that a job's processing takes."""
    job_expires_seconds: Seconds = WEEK_SECONDS
    """Seconds for which a completed export can be downloaded."""
    link_expires_seconds: Seconds = 300
    """Seconds for which a signed link of v1 is valid."""
    daily_export_bytes: Bytes = 10 * 10**9
    """Bytes of completed exports in a UTC day (over uapi: in 24 hours) at which creating another is
    429."""
    max_upload_bytes: Bytes = 100 * 2**20
    """Maximum size of an upload over v1; a larger one is 413."""
    max_page_size: Count = 100
    """Maximum number of jobs on a page, whatever ``limit`` says."""
    max_error_page_size: Count = 1000
    """Maximum number of row errors on a page."""
    row_number_base: Annotated[int, Field(ge=0, le=10**9)] = 1
    """Number of the first data row in row errors: 0, 1, 2 if the header counts as row 1, …"""
    clock_skew_seconds: Annotated[float, Field(ge=-(10**9), le=10**9)] = 0
    """Seconds that the server's clock, and so all times that it writes, is ahead of the true time;
    below 0: behind it."""
    direct_download: bool = False
    """Whether v1 sends files itself instead of a signed link."""
    byte_order_mark: bool = False
    """Whether parts begin with a byte order mark."""
    gzip: bool = False
    """Whether parts of v1 are gzip files."""
    uapi_port: Port = 0
    """Port of uapi; 0 for any free one."""
    client_id: str = field(default_factory=_new_client_id)
    """Client id of uapi. Default: random."""
    client_secret: str = field(default_factory=_new_secret, repr=False)
    """Client secret of uapi. Default: random."""
    token_seconds: Seconds = 8 * 3600.0
    """Seconds for which an issued token is valid."""
    wrong_credentials_status: int = 400
    """Status for wrong credentials. 400 is published; 401 and 403 are possible, too."""
    call_budgets: Mapping[str, int] = field(default_factory=dict)
    """Calls per UTC day by operation, in place of the published limits."""
    budget_error_code: str = "429"
    """``errorCode`` of a call over its budget; none is published."""
    max_concurrent_export_jobs: Count = 1
    """Over uapi: open export jobs at which another is 429-102."""
    max_concurrent_queries: int | None = None
    """Over uapi: export calls at a time; one more is 429-100. Default: unlimited."""
    trial_export_bytes: Bytes | None = None
    """Over uapi: bytes that a trial may export in 24 hours. Default: the tenant is not a trial."""
    results_url_seconds: Seconds = 24 * 3600.0
    """Over uapi: seconds for which a link to results is valid."""
    results_urls: bool = False
    """Over uapi: whether results come in parts, as the list ``resultsUrls``, whose first item is
    ``resultsUrl``. Default: one file."""
    label_headers: bool = False
    """Over uapi: whether the headers of exports are labels instead of names."""
    to_date_inclusive: bool = True
    """Over uapi: whether ``toDate`` is part of the range."""
    withheld_entities: frozenset[str] = frozenset()
    """Over uapi: entity types that are 403-101."""
    withheld_fields: frozenset[str] = frozenset()
    """Over uapi: published names of fields outside the Export collection."""
    export_collection: bool = True
    """Over uapi: whether there is an Export collection; without one, exports are 403-103."""
    import_permission: bool = True
    """Over uapi: whether the credentials permit imports."""
    person_lists_need_ids: bool = True
    """Over uapi: whether personListIds is required."""
    uapi_max_upload_bytes: Bytes = 5 * 10**9
    """Over uapi: maximum size of an upload; a larger one is 400."""

    def __post_init__(self) -> None:
        """Check what depends on other modules' constants, and texts."""
        if unknown := sorted(self.rows.keys() - DEFAULT_ROWS.keys()):
            raise ValueError(f"rows names unknown entities: {', '.join(unknown)}")
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise ValueError("token must consist of printable ASCII characters without spaces")
        if not (self.client_id and self.client_secret):
            raise ValueError("client_id and client_secret must not be empty")
        if unknown := sorted(self.call_budgets.keys() - DAILY_CALLS.keys()):
            known = ", ".join(DAILY_CALLS)
            raise ValueError(f"call_budgets names {', '.join(unknown)}; known operations: {known}")
