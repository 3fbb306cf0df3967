"""The command ``runs``: what the last runs of both plugins did, from their reports."""

from __future__ import annotations

import sys
from itertools import compress, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from demandbase_api.redaction import plain
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show, timestamp
from demandbase_cli.run_page import run_page
from demandbase_cli.run_reports import LATEST, all_runs, report_stores, rows_rejected, run_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demandbase_cli.run_reports import Run
    from demandbase_cli.settings import Settings


@click.command(short_help="List the last runs of both plugins, or describe one.")
@click.argument("run", required=False)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of runs to list.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the run's page to a file, - for standard output. Default of RUN: latest.",
)
@common_options
def runs(
    *, settings: Settings, as_json: bool, run: str | None, last: int, html: Path | None
) -> None:
    """List the last runs of both plugins, or describe one.

    RUN is its name, the beginning of its name, or latest.
    """
    if html is not None and as_json:
        raise click.UsageError("--html and --json exclude each other")
    if run is None and html is None:
        _show_list(settings, last, as_json=as_json)
        return
    found = list(all_runs(settings))
    name = run_named([each.name for each in found], run or LATEST)
    chosen = next(each for each in found if each.name == name)
    if html is None:
        _show_one(chosen, as_json=as_json)
    else:
        _write_page(chosen, html)


def _show_list(settings: Settings, last: int, *, as_json: bool) -> None:
    lines = [each.as_line() for each in islice(all_runs(settings), last)]
    headings = ("Run", "Plugin", "Started", "Seconds", "Streams", "Rows sent", "Jobs", "Says")
    table = Table(
        "Runs",
        headings,
        [tuple(line.values()) for line in lines],
        "No run has left a report in state_dir or rejects_path.",
    )
    places = [
        f"those of {plugin} in {store.location()}" for plugin, store in report_stores(settings)
    ]
    where = f"Reports, by the settings: {', '.join(places)}."
    show(lines, table, where, as_json=as_json)


def _show_one(run: Run, *, as_json: bool) -> None:
    streams = [
        (
            name,
            getattr(own, "outcome", None),
            own.rows_sent,
            rows_rejected(own),
            getattr(own, "windows", None),
            getattr(own, "bytes", None),
            getattr(own, "seconds", None),
            getattr(own, "error", None),
        )
        for name, own in run.streams.items()
    ]
    details = ("id", "status", "adopted", "rows", "rows_read", "bytes", "waited_seconds", "seconds")
    show(
        {**run.document, "plugin": run.plugin},
        f"Run {run.name} of {run.plugin}: started {timestamp(run.started_at)}, "
        f"{run.report.seconds} s, {run.says}",
        *([run.report.error] if run.report.error else []),
        _with_values(
            "Streams",
            (
                "Stream",
                "Outcome",
                "Rows sent",
                "Rejected",
                "Windows",
                "Bytes",
                "Seconds",
                "Error",
            ),
            streams,
            "No stream was read.",
        ),
        _with_values(
            "Jobs",
            ("Stream", "Job", "Status", "Adopted", "Rows", "Read", "Bytes", "Waited", "Seconds"),
            [(name, *(getattr(job, each, None) for each in details)) for name, job in run.jobs],
            "The run had no job.",
        ),
        as_json=as_json,
    )


def _with_values(
    title: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]], if_empty: str
) -> Table:
    """Return a table without the columns that no row fills: each plugin has some of its own."""
    filled = [any(row[number] is not None for row in rows) for number in range(len(columns))]
    return Table(
        title,
        tuple(compress(columns, filled)),
        [tuple(compress(row, filled)) for row in rows],
        if_empty,
    )


def _write_page(run: Run, path: Path) -> None:
    page = run_page(run)
    if str(path) == "-":
        sys.stdout.write(page)
        return
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror or 'the operation failed'}. Choose another "
            "file."
        ) from error
    click.echo(f"The page of the run {run.name} of {run.plugin} is in {plain(str(path))}")
