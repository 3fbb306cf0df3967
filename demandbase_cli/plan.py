"""The command ``plan``: the jobs and calls that a run of the tap will need."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import EXIT_TRY_LATER
from demandbase_api.jobs.export_reuse import ExportReuse
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show
from demandbase_cli.state import read_state
from tap_demandbase.catalog import checked_streams
from tap_demandbase.config import export_journal
from tap_demandbase.export_plan import PlannedExport, PlannedStream, plan_exports

if TYPE_CHECKING:
    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_cli.settings import Settings
    from tap_demandbase.tap import TapDemandbase


class PlannedJob(NamedTuple):
    """An export of a stream, and the job of an earlier run that it will adopt, if any."""

    stream: str
    export: PlannedExport
    adopted: ExportJob | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        window, job = self.export.window, self.adopted
        return {
            "stream": self.stream,
            "entity": self.export.task.request.entity,
            "from": None if window is None else window.start,
            "to": None if window is None else window.end,
            "adopts": None if job is None else job.id,
            "status": None if job is None else job.status_text,
        }


@click.command(short_help="Show the jobs and calls that the next run of the tap will need.")
@click.option("--catalog", type=click.File(encoding="utf-8"), help="Catalog with the selection.")
@click.option(
    "--state",
    type=click.File(encoding="utf-8"),
    help="State of the last run, as for “demandbase state”.",
)
@common_options
def plan(
    *, settings: Settings, as_json: bool, catalog: IO[str] | None, state: IO[str] | None
) -> None:
    """Show the jobs and calls that the next run of the tap will need. No job is created.

    It lists the export jobs once, to find those that the run would adopt.
    """
    tap = settings.tap(
        None if catalog is None else _catalog(catalog),
        None if state is None else read_state(state)[1],
    )
    tap.setup_mapper()
    streams = plan_exports(tap.streams.values())
    failed = {each.name: str(each.error) for each in streams if each.error is not None}
    failed |= {name: str(error) for name, error in tap.unavailable.items()}
    jobs = _jobs(tap, streams)
    more = [each.name for each in streams if each.needs_more]
    new = sum(job.adopted is None for job in jobs) + len(more)
    calls = _calls(tap, new)
    show(
        {
            "jobs": [job.as_dict() for job in jobs],
            "new_jobs_at_least": new,
            "streams_with_more_jobs": more,
            "failed": failed,
            "calls": calls,
        },
        Table(
            "Streams",
            ("Stream", "Jobs", "From", "To", "New", "Adopted", "Says"),
            [_stream_line(each, jobs, failed.get(each.name)) for each in streams],
            "No stream of an entity is selected.",
        ),
        *([_adopted(jobs)] if any(job.adopted for job in jobs) else []),
        Table(
            "Calls that are needed at least, against those that are left today",
            ("Call", "Needed", "Left", "Limit"),
            [tuple(line.values()) for line in calls],
            "This API has no known daily limit of calls.",
        ),
        as_json=as_json,
    )
    _check(calls, failed)


def _check(calls: list[dict[str, Any]], failed: dict[str, str]) -> None:
    if failed:
        raise CommandError(f"These streams cannot be exported: {', '.join(failed)}.")
    if short := [line["call"] for line in calls if line["needed"] > line["left"]]:
        raise CommandError(
            f"Too few of the day's calls are left: to {', to '.join(short)}. The count restarts at "
            "midnight UTC; or select fewer streams.",
            EXIT_TRY_LATER,
        )


def _catalog(file: IO[str]) -> Any:  # noqa: ANN401 - checked by the tap
    try:
        catalog = json.load(file)
    except (ValueError, RecursionError):
        raise CommandError("The file of --catalog is not JSON.") from None
    checked_streams(catalog)  # null would be no catalog
    return catalog


def _jobs(tap: TapDemandbase, streams: list[PlannedStream]) -> list[PlannedJob]:
    hours = float(tap.config["job_reuse_hours"])
    reuse = ExportReuse(tap.export_api, hours, tap.clock, export_journal(tap.config))
    ids_requests: list[ExportRequest] = []
    found = []
    for stream in streams:
        for export in stream.exports:
            task = export.task
            if stream.needs_more:  # streams share an export of the same ids
                if task.request in ids_requests:
                    continue
                ids_requests.append(task.request)
            job = reuse.find_reusable(task.request, task.delivered, (), NO_DEADLINE)
            found.append(PlannedJob(stream.name, export, job))
    return found


def _calls(tap: TapDemandbase, jobs: int) -> list[dict[str, Any]]:
    daily = tap.apis.daily
    if daily is None:
        return []
    today = daily.today()
    return [
        {
            "call": operation.value,
            "needed": needed,
            "left": today[operation].left,
            "limit": today[operation].limit,
        }
        for operation, needed in daily.for_exports(jobs).items()
    ]


def _stream_line(
    stream: PlannedStream, jobs: list[PlannedJob], failure: str | None
) -> tuple[object, ...]:
    own = [job for job in jobs if job.stream == stream.name]
    windows = [job.export.window for job in own if job.export.window is not None]
    adopted = sum(job.adopted is not None for job in own)
    says = failure
    if says is None and stream.needs_more:
        says = "and more jobs: the first one says how many"
    elif says is None and not own:
        says = "nothing is exported"
    elif says is None and not windows:
        says = "all rows"
    return (
        stream.name,
        len(own),
        windows[0].start or "the beginning" if windows else None,
        windows[-1].end if windows else None,
        len(own) - adopted,
        adopted,
        says,
    )


def _adopted(jobs: list[PlannedJob]) -> Table:
    rows = [
        (job.stream, job.adopted.id, job.adopted.status_text, job.adopted.created_at)
        for job in jobs
        if job.adopted is not None
    ]
    return Table("Jobs to adopt", ("Stream", "Job", "Status", "Created"), rows, "")
