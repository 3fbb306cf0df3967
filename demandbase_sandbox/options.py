"""How a sandbox behaves."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from demandbase_sandbox.faults import Fault
from demandbase_sandbox.tenant.sample import DEFAULT_ROWS
from demandbase_sandbox.uapi.limits import DAILY_CALLS

WEEK_SECONDS = 7 * 24 * 3600.0
MAX_PORT = 65535
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]

Count = Annotated[int, Field(ge=1, le=10**9)]

# Seconds are added to dates, which end in the year 9999.
Seconds = Annotated[float, Field(ge=0, le=10**9)]

Bytes = Annotated[int, Field(ge=0, le=10**15)]


def new_token() -> str:
    """Return a token in the shape of a JWT."""
    return ".".join(("eyJhbGciOiJub25lIn0", secrets.token_urlsafe(24), secrets.token_urlsafe(16)))


def _new_client_id() -> str:
    return f"client-{secrets.token_hex(8)}"


def _new_secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
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
        row_number_base: Number of the first data row in row errors: 2 counts the header line.
        direct_download: Whether files come from the API itself instead of a signed link.
        byte_order_mark: Whether parts start with a BOM.
        gzip: Whether parts are gzip files.
        uapi_port: Port of the published API; 0 takes a free one.
        client_id: Client id that the published API mints tokens for; made up where empty.
        client_secret: The secret that goes with it; made up where empty.
        token_seconds: How long a minted token lives.
        wrong_credentials_status: What wrong credentials are answered: 400 is published, which
            leaves 401 and 403 possible.
        call_budgets: Calls a UTC day by operation, in place of the published limits.
        budget_error_code: ``errorCode`` of a call over its budget; none is published.
        max_concurrent_export_jobs: Over uapi: open export jobs at which another is 429-102.
        max_concurrent_queries: Over uapi: calls being worked on at which another is 429-100.
        trial_export_bytes: Over uapi: bytes of 24 hours that a trial may export; ``None`` for
            a tenant that is no trial.
        results_url_seconds: Over uapi: how long a result's link works.
        results_urls: Over uapi: whether results come in parts, as the list ``resultsUrls``
            (``resultsUrl`` is the first of them), instead of in one file.
        label_headers: Over uapi: whether exports are headed by labels instead of names.
        to_date_inclusive: Over uapi: whether ``toDate`` belongs to the range.
        withheld_entities: Over uapi: entity types that are 403-101.
        withheld_fields: Over uapi: published names of fields outside the Export collection.
        export_collection: Over uapi: whether one is enabled; everything is 403-103 without.
        import_permission: Over uapi: whether the credentials may import.
        person_lists_need_ids: Over uapi: whether personListIds is required.
        uapi_max_upload_bytes: Over uapi: size over which an upload is 400.

    Raises:
        ValueError: It cannot be meant like this; the sentence says why.
    """

    port: Port = 0
    files_port: Port = 0
    token: str = field(default_factory=new_token, repr=False)
    seed: int = 1
    rows: Mapping[str, Annotated[int, Field(ge=0)]] = field(default_factory=dict)
    data: Path | None = None
    faults: tuple[Fault, ...] = ()
    part_rows: Count = 500
    pending_seconds: Seconds = 0.2
    processing_seconds: Seconds = 0.3
    job_expires_seconds: Seconds = WEEK_SECONDS
    link_expires_seconds: Seconds = 300
    daily_export_bytes: Bytes = 10 * 10**9
    max_upload_bytes: Bytes = 100 * 2**20
    max_page_size: Count = 100
    max_error_page_size: Count = 1000
    row_number_base: Annotated[int, Field(ge=0, le=2)] = 1
    direct_download: bool = False
    byte_order_mark: bool = False
    gzip: bool = False
    uapi_port: Port = 0
    client_id: str = field(default_factory=_new_client_id)
    client_secret: str = field(default_factory=_new_secret, repr=False)
    token_seconds: Seconds = 8 * 3600.0
    wrong_credentials_status: int = 400
    call_budgets: Mapping[str, int] = field(default_factory=dict)
    budget_error_code: str = "429"
    max_concurrent_export_jobs: Count = 1
    max_concurrent_queries: int | None = None
    trial_export_bytes: Bytes | None = None
    results_url_seconds: Seconds = 24 * 3600.0
    results_urls: bool = False
    label_headers: bool = False
    to_date_inclusive: bool = True
    withheld_entities: frozenset[str] = frozenset()
    withheld_fields: frozenset[str] = frozenset()
    export_collection: bool = True
    import_permission: bool = True
    person_lists_need_ids: bool = True
    uapi_max_upload_bytes: Bytes = 5 * 10**9

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if unknown := sorted(self.rows.keys() - DEFAULT_ROWS.keys()):
            raise ValueError(f"rows of unknown entities: {', '.join(unknown)}")
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise ValueError("the token is of printable ASCII characters without blanks")
        if not (self.client_id and self.client_secret):
            raise ValueError("client_id and client_secret are not empty")
        if unknown := sorted(self.call_budgets.keys() - DAILY_CALLS.keys()):
            known = ", ".join(DAILY_CALLS)
            raise ValueError(f"call_budgets of {', '.join(unknown)}; known are {known}")
