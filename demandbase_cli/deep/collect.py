"""The calls of ``demandbase check --deep``. Nothing but an export that is allowed is created."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from demandbase_api.config import Api
from demandbase_api.errors import (
    ApiOperation,
    CallBudgetError,
    DemandbaseError,
    NotFoundError,
    PermissionDeniedError,
)
from demandbase_api.http.lists import PAGE_SIZE
from demandbase_api.models import DEFAULT_SOURCE, JobStatus
from demandbase_api.settings_check import near_names
from demandbase_api.uapi.entities import ENTITIES
from demandbase_cli.deep.guesses import Facts, OldLink, RowErrors
from demandbase_cli.deep.sample import Sample
from demandbase_cli.errors import CommandError
from demandbase_cli.jobs import Kind
from tap_demandbase.exporter import parts_of
from tap_demandbase.streams import BulkStream, IdBatchStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from demandbase_api.models import ExportJob, ImportJob
    from demandbase_api.ports import Apis, ExportApi, ImportApi
    from tap_demandbase.tap import TapDemandbase
    from target_demandbase.target import TargetDemandbase

MAX_JOBS = 300
"""Jobs of each list that are read."""
MAX_FAILED = 3
"""Failed export jobs that are read for their messages."""
_LIST_CALLS = 3 * (MAX_JOBS // PAGE_SIZE) + 1
"""A list that changes while it is read is read up to three times."""
_SAMPLE_AGE = timedelta(days=8)
"""Data of a day may arrive for days."""
_TUESDAY = 1
_REFERENCES = 8
"""Published reference objects."""

Step = tuple[str, "Callable[[], object]"]
"""Name of a step, and what it does."""


def calls_at_most(kind: Kind, apis: Apis, api: Api, jobs: int) -> dict[ApiOperation, int]:
    """Return how many calls of each operation are made at most, without polls and retries.

    Args:
        kind: The side that is checked.
        apis: Its ports.
        api: The API.
        jobs: Number of exports that are allowed.
    """
    found: Counter[ApiOperation] = Counter()
    if kind is Kind.EXPORT:
        found[ApiOperation.LIST_EXPORTS] = _LIST_CALLS + 2 * jobs
        if api is Api.UAPI:
            found[ApiOperation.LIST_FIELDS] = sum(bool(entity.type) for entity in ENTITIES)
            found[ApiOperation.LIST_REFERENCES] = 2
            found[ApiOperation.GET_REFERENCE] = _REFERENCES
            found[ApiOperation.GET_EXPORT] = MAX_FAILED + 2 + 2 * jobs
        else:
            found[ApiOperation.LIST_ENTITIES] = 1
        found[ApiOperation.CREATE_EXPORT] = 2 * jobs  # one that fails is replaced once
    else:
        found[ApiOperation.LIST_IMPORTS] = _LIST_CALLS
        if api is Api.UAPI:
            entities = len(apis.imports.capabilities.entities)
            found[ApiOperation.LIST_ACTIVITY_TYPES] = 1
            found[ApiOperation.LIST_SOURCES] = 2 * entities
            found[ApiOperation.LIST_CUSTOM_SOURCES] = found[ApiOperation.LIST_SOURCE_FIELDS] = 2
            found[ApiOperation.LIST_FIELDS] = entities - 1  # activities depend on their type
        else:
            found[ApiOperation.LIST_MAPPINGS] = len(apis.imports.capabilities.entities)
            found[ApiOperation.LIST_ROW_ERRORS] = 2
    return {operation: number for operation, number in found.items() if number}


def export_steps(tap: TapDemandbase, facts: Facts) -> list[Step]:
    """Return what reads the exports of a tenant."""

    def streams() -> None:
        facts.streams = [each for each in tap.streams.values() if isinstance(each, BulkStream)]

    def jobs() -> None:
        facts.begin_lists()
        facts.jobs[Kind.EXPORT] = list(islice(tap.export_api.jobs(), MAX_JOBS))

    def details() -> None:
        _read_details(tap.export_api, facts)

    def references() -> None:
        for each in tap.export_api.references():
            facts.references[each.name] = tap.export_api.reference_values(each.name)

    return [
        ("fields", streams),
        ("job list", jobs),
        ("old jobs", details),
        ("reference values", references),
    ]


def _read_details(api: ExportApi, facts: Facts) -> None:
    """Read what the list of ``uapi`` lacks: messages and links."""
    jobs: list[ExportJob] = facts.jobs[Kind.EXPORT]  # type: ignore[assignment]
    if facts.api is Api.V1:
        return
    failed = [job for job in jobs if job.status is JobStatus.FAILED][:MAX_FAILED]
    ended = [job for job in jobs if job.status is JobStatus.COMPLETED]
    known = {job.id: api.with_details(job) for job in failed}
    facts.jobs[Kind.EXPORT] = [known.get(job.id, job) for job in jobs]
    if ended:
        api.with_details(ended[0])
        oldest = ended[-1]
        since = oldest.completed_at or oldest.created_at
        if since is not None:
            age = facts.evidence.clock.utc() - since.astimezone(UTC)
            facts.old_link = OldLink(age, _outcome_of_link(api, oldest))


def _outcome_of_link(api: ExportApi, job: ExportJob) -> str:
    """Return what the link to a job's first file gives. Nothing of the file is read."""
    try:
        with api.open_part(job.id, 1):
            return "its file is there"
    except NotFoundError as error:
        status = getattr(error, "status", None)
        return f"its file is gone (HTTP {status})" if status else "its file is gone"
    except DemandbaseError as error:
        if error.ends_run:
            raise
        return f"its file cannot be read ({type(error).__name__})"


def import_steps(target: TargetDemandbase, facts: Facts) -> list[Step]:
    """Return what reads the imports of a tenant."""
    api = target.import_api

    def jobs() -> None:
        facts.begin_lists()
        facts.jobs[Kind.IMPORT] = list(islice(api.jobs(), MAX_JOBS))

    def row_errors() -> None:
        completed: list[ImportJob] = [
            job  # type: ignore[misc]
            for job in facts.jobs[Kind.IMPORT]
            if job.status is JobStatus.COMPLETED
        ]
        clean = next((job for job in completed if job.error_count == 0), None)
        rejecting = next((job for job in completed if job.error_count), None)
        facts.clean_import = None if clean is None else _row_errors(api, clean, facts)
        facts.rejecting_import = None if rejecting is None else _row_errors(api, rejecting, facts)

    steps: list[Step] = [("job list", jobs)]
    if api.capabilities.row_errors:
        steps.append(("row errors", row_errors))
    if api.capabilities.sources:
        source = target.config["source"]
        steps += [
            ("sources", lambda: _read_sources(api, source, facts)),
            ("labels", lambda: _read_labels(api, facts)),
        ]
    return steps


def _read_sources(api: ImportApi, source: str, facts: Facts) -> None:
    for entity in sorted(api.capabilities.entities):
        facts.sources[entity] = api.sources(entity)
        if source != DEFAULT_SOURCE:
            facts.source_fields[entity] = api.source_fields(entity, source)


def _read_labels(api: ImportApi, facts: Facts) -> None:
    for mapping in api.mappings():
        facts.documented.setdefault(mapping.entity, []).append(mapping.name)
    for entity in sorted(facts.documented):
        # What is not exported shows no label, and calls that discovery needs are left to it.
        with suppress(PermissionDeniedError, CallBudgetError):
            facts.exported[entity] = list(api.tenant_fields(entity))


def _row_errors(api: ImportApi, job: ImportJob, facts: Facts) -> RowErrors:
    rejected = job.error_count or 0
    try:
        errors = list(islice(api.row_errors(job.id), PAGE_SIZE))
    except NotFoundError:
        return RowErrors(None, rejected)
    page = facts.evidence.documents(ApiOperation.LIST_ROW_ERRORS)[-1]
    items = page.get("errors") if isinstance(page, dict) else None
    members = Counter(
        name
        for item in items or []
        if isinstance(item, dict)
        for name, value in item.items()
        if value is not None
    )
    lowest = min((each.row_number for each in errors if each.row_number is not None), default=None)
    return RowErrors(len(errors), rejected, lowest, members)


def sample_day(today: date) -> date:
    """Return the first of the two days to export: a Tuesday whose data has arrived."""
    day = today - _SAMPLE_AGE
    return day - timedelta(days=(day.weekday() - _TUESDAY) % 7)


def stream_to_export(tap: TapDemandbase, name: str) -> BulkStream:
    """Return a stream whose export is allowed.

    Raises:
        CommandError: The stream is not there, or its export needs more than one job.
    """
    known = {name: each for name, each in tap.streams.items() if isinstance(each, BulkStream)}
    if name not in known:
        raise CommandError(
            f"There is no stream {name} of an entity{near_names(name, known)}. See “demandbase "
            "catalog”."
        )
    if isinstance(known[name], IdBatchStream):
        raise CommandError(
            f"An export of {name} needs the ids of all accounts, which takes another job: allow "
            "one of another stream."
        )
    return known[name]


def take_sample(tap: TapDemandbase, name: str, day: date, facts: Facts) -> Sample:
    """Export two days of a stream, or all of it if it has no date, and read the file.

    Raises:
        DemandbaseError: The stream cannot be exported.
    """
    stream = stream_to_export(tap, name)
    task = stream.task_of_days(day, day + timedelta(days=1))
    properties = stream.properties_of_days()
    dates = task.request.date_range
    sample = Sample(
        stream.entity,
        task.request,
        {name: stream.schema["properties"][name] for name in properties},
        {name: stream.fields[name] for name in properties},
        stream.primary_keys,
        None if dates is None else day,
        None if dates is None else _property_of(stream, dates.field),
    )
    exporter = tap.exporter
    before = len(facts.evidence.received)
    exporter.plan(stream.name, [task])
    exporter.check_budget(stream.name, 0)
    click.echo(f"Waiting for the export of {name}, up to job_timeout_seconds.", err=True)
    job, _ = exporter.wait(stream.name, task)
    created = [
        each
        for each in facts.evidence.received[before:]
        if each.operation is ApiOperation.CREATE_EXPORT
    ]
    sample.created_at = created[-1].at if created else None
    sample.job = job
    if parts_of(job):
        parts = exporter.open(stream.name, task, job)
        with closing(iter(parts)) as files:
            for _, file in files:
                sample.read(file)
    exporter.scheduler.forget(task)
    return sample


def _property_of(stream: BulkStream, job_name: str) -> str | None:
    found = (name for name, field in stream.fields.items() if field.job_name == job_name)
    return next(found, None)
