"""The commands ``jobs`` and ``job``: what the tenant's jobs are doing."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from demandbase_api.errors import (
    ConfigurationError,
    DemandbaseError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import ExportJob, ImportJob, JobStatus
from demandbase_api.redaction import mask_name, mask_values, redact
from demandbase_cli.errors import CommandError
from demandbase_cli.options import age_or_date, common_options
from demandbase_cli.output import Facts, Table, show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from demandbase_api.models import RowError
    from demandbase_cli.settings import Settings

RUNNING = "running"
"""For ``--status``: any status of a job that has not ended."""

_MAX_JOBS = _MAX_ERRORS = 100
"""Longest lists for a person."""
_UNUSABLE_ID = (NotFoundError, InvalidRequestError, ConfigurationError)
"""What a port raises about an id of a job of the other kind or of the other API."""


class Kind(StrEnum):
    """The kinds of jobs."""

    EXPORT = "export"
    IMPORT = "import"


def kinds(*, exports: bool, imports: bool) -> tuple[Kind, ...]:
    """Return the kinds that ``--exports`` and ``--imports`` choose; both without them."""
    chosen = ((Kind.EXPORT, exports), (Kind.IMPORT, imports))
    return tuple(kind for kind, is_chosen in chosen if is_chosen) or tuple(Kind)


class FoundJob(NamedTuple):
    """A job and its kind."""

    kind: Kind
    job: ExportJob | ImportJob

    def as_dict(self) -> dict[str, Any]:
        """Return the job for JSON, without values of records, filters and links."""
        job = self.job
        found = {
            "kind": self.kind.value,
            "id": job.id,
            "entity": job.entity,
            "status": job.status_text,
            "created_at": job.created_at,
            "completed_at": job.completed_at,
            "rows": job.record_count if isinstance(job, ExportJob) else job.total_rows,
            "bytes": job.file_size_bytes,
            "error": self.error,
        }
        if isinstance(job, ExportJob):
            return {
                **found,
                "name": job.name,
                "files": job.file_parts,
                "expires_at": job.expires_at,
                "fields": None if job.fields is None else list(job.fields),
            }
        return {
            **found,
            "name": job.file_name,
            "operation": job.operation,
            "started_at": job.started_at,
            "rows_processed": job.processed_rows,
            "rows_accepted": job.success_count,
            "rows_rejected": job.error_count,
        }

    @property
    def error(self) -> str | None:
        """Why the job failed; values of records are masked."""
        message = redact(self.job.error_message or "")
        return (mask_values(message) if self.kind is Kind.IMPORT else message) or None


def listed(settings: Settings, kind: Kind, since: datetime | None = None) -> Iterator[FoundJob]:
    """Yield the jobs of a kind that the API lists and that were created since a time."""
    if kind is Kind.EXPORT:
        exports = settings.export_apis.exports.jobs()
        found = exports if since is None else recent(exports, since)
        return (FoundJob(kind, job) for job in found)
    imports = settings.import_apis.imports.jobs()
    chosen = imports if since is None else recent(imports, since)
    return (FoundJob(kind, job) for job in chosen)


class Listed(NamedTuple):
    """The jobs of some kinds, and why those of others cannot be listed."""

    found: list[FoundJob]
    failures: dict[Kind, DemandbaseError]

    def check(self) -> None:
        """Raise an error if jobs are missing, once the others were shown.

        Raises:
            CommandError: The jobs of a kind cannot be listed.
        """
        for failure in self.failures.values():
            raise CommandError(str(failure), failure.exit_code)


def list_all(settings: Settings, among: Collection[Kind], since: datetime) -> Listed:
    """Return the jobs of some kinds; without the permission for one of them, those of the others.

    Raises:
        DemandbaseError: They cannot be listed.
    """
    found: list[FoundJob] = []
    failures: dict[Kind, DemandbaseError] = {}
    for kind in among:
        try:
            found += listed(settings, kind, since)
        except PermissionDeniedError as error:
            failures[kind] = error
            if len(failures) == len(among):
                raise
    return Listed(found, failures)


def find(settings: Settings, job_id: str, among: Collection[Kind]) -> FoundJob:
    """Return a job by its id.

    Raises:
        CommandError: No job has the id.
    """
    for kind in among:
        try:
            if kind is Kind.EXPORT:
                return FoundJob(kind, settings.export_apis.exports.get(job_id))
            return FoundJob(kind, settings.import_apis.imports.get(job_id))
        except _UNUSABLE_ID:
            continue
    words = " or ".join(among)
    raise CommandError(
        f"Demandbase knows no {words} job with the id {job_id[:100]}: list them with “demandbase "
        "jobs”, and check the setting api."
    )


def _has_status(job: ExportJob | ImportJob, status: str | None) -> bool:
    if status is None:
        return True
    return job.status.is_running if status == RUNNING else job.status.value == status


@click.command(short_help="List the tenant's jobs, also those of other clients.")
@click.option("--exports", is_flag=True, help="Only export jobs.")
@click.option("--imports", is_flag=True, help="Only import jobs.")
@click.option(
    "--status",
    type=click.Choice([RUNNING, *(status.value for status in JobStatus)]),
    metavar="STATUS",
    help=f"Only jobs with this status: {RUNNING} (those that have not ended), "
    f"{', '.join(JobStatus)}.",
)
@click.option(
    "--since",
    callback=age_or_date,
    default="2d",
    show_default=True,
    metavar="AGE",
    help="Only jobs created since then: an age such as 90m, 12h or 2d, or a date.",
)
@common_options
def jobs(  # noqa: PLR0913
    settings: Settings,
    *,
    as_json: bool,
    exports: bool,
    imports: bool,
    status: str | None,
    since: datetime,
) -> None:
    """List the tenant's export and import jobs, also those of other clients."""
    all_jobs = list_all(settings, kinds(exports=exports, imports=imports), since)
    found = [each for each in all_jobs.found if _has_status(each.job, status)]
    found.sort(key=lambda each: _sort_key(each.job), reverse=True)
    lines = [each.as_dict() for each in found]
    members = ("kind", "id", "entity", "status", "created_at", "completed_at", "rows", "bytes")
    headings = ("Kind", "Id", "Entity", "Status", "Created", "Ended", "Rows", "Bytes", "Error")
    table = Table(
        f"Jobs since {since:%Y-%m-%d %H:%MZ}",
        headings,
        [(*(line[name] for name in members), line["error"]) for line in lines[:_MAX_JOBS]],
        f"No such job was created since {since:%Y-%m-%d %H:%MZ}: see --since.",
    )
    show(lines, table, *_more(len(lines), "jobs", _MAX_JOBS), as_json=as_json)
    all_jobs.check()


def _sort_key(job: ExportJob | ImportJob) -> float:
    return 0.0 if job.created_at is None else job.created_at.timestamp()


@click.command(short_help="Describe a job, list the rows that it rejected, or cancel it.")
@click.argument("job_id", metavar="ID")
@click.option("--exports", is_flag=True, help="Only look among export jobs.")
@click.option("--imports", is_flag=True, help="Only look among import jobs.")
@click.option("--errors", is_flag=True, help="Also list the rejected rows of an import.")
@click.option("--cancel", is_flag=True, help="Cancel the job, if the API can.")
@common_options
def job(  # noqa: PLR0913
    settings: Settings,
    *,
    job_id: str,
    as_json: bool,
    exports: bool,
    imports: bool,
    errors: bool,
    cancel: bool,
) -> None:
    """Describe a job, list the rows that it rejected, or cancel it."""
    among = kinds(exports=exports, imports=imports)
    found = find(settings, job_id, among)
    if errors and found.kind is Kind.EXPORT:
        raise CommandError(f"The job {job_id} is an export, and only imports reject rows.")
    rejected = _row_errors(settings, job_id) if errors else None
    if cancel:
        _cancel(settings, found)
        found = find(settings, job_id, [found.kind])
    line = found.as_dict()
    facts = Facts(
        f"The {found.kind} job {job_id}",
        {name.replace("_", " "): _shown(value) for name, value in line.items()},
    )
    if rejected is None:
        show(line, facts, as_json=as_json)
        return
    show(
        {**line, "row_errors": rejected},
        facts,
        Table(
            "Rejected rows",
            ("Row", "Field", "Error", "Message"),
            [tuple(each.values()) for each in islice(rejected, _MAX_ERRORS)],
            "The job lists no rejected row.",
        ),
        *_more(len(rejected), "errors", _MAX_ERRORS),
        as_json=as_json,
    )


def _shown(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value


def _more(number: int, what: str, most: int) -> list[str]:
    more = number - most
    return [f"And {more:,} more {what}, which --json lists."] if more > 0 else []


def _row_errors(settings: Settings, job_id: str) -> list[dict[str, Any]]:
    api = settings.import_apis.imports
    if not api.capabilities.row_errors:
        raise CommandError(
            "This API does not report which rows it rejected: see the import audit in Demandbase. "
            "Rows that the target itself rejected are in “demandbase rejects”."
        )
    return [_row_error(error) for error in api.row_errors(job_id, complete=True)]


def _row_error(error: RowError) -> dict[str, Any]:
    """Return an error of a row; its value stays in Demandbase."""
    return {
        "row": error.row_number,
        "field": mask_name(error.field) if error.field else None,
        "error": mask_name(error.error_type) if error.error_type else None,
        "message": mask_values(redact(error.message)) if error.message else None,
    }


def _cancel(settings: Settings, found: FoundJob) -> None:
    job = found.job
    if job.status.is_terminal:
        raise CommandError(
            f"The {found.kind} job {job.id} has ended: it is {job.status_text}, and there is "
            "nothing to cancel."
        )
    if found.kind is Kind.EXPORT:
        is_cancelled = settings.export_apis.exports.cancel(job.id)
    else:
        is_cancelled = settings.import_apis.imports.cancel(job.id)
    if not is_cancelled:
        raise CommandError(
            f"This API cannot cancel jobs: the {found.kind} job {job.id} is {job.status_text}, and "
            f"goes on. After “demandbase journal forget {job.id}”, no run here waits for it."
        )
