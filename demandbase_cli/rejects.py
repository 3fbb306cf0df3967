"""The command ``rejects``: the rows that runs did not import, without their values."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.redaction import mask_name
from demandbase_api.run_files import KeptRows, RowsKind
from demandbase_api.run_report import ReportedImports
from demandbase_api.words import counted
from demandbase_cli.kept_rows import Kept, records, remove, rows_of, sentence
from demandbase_cli.options import age_or_date, common_options, confirm
from demandbase_cli.output import Table, show
from demandbase_cli.replay import replay
from demandbase_cli.run_reports import Run, run_named
from target_demandbase.rejects import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from demandbase_cli.settings import Settings

_FIELD, _TYPE = (list(Reject("").columns())[number] for number in (1, 2))


@click.command(short_help="Show the rows that were rejected, send them again, or remove them.")
@click.argument("run", required=False)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of runs to list.",
)
@click.option("--replay", "is_replay", is_flag=True, help="Send the rejected rows of RUN again.")
@click.option("--dry-run", is_flag=True, help="With --replay: check the rows, and send nothing.")
@click.option("--prune", "is_prune", is_flag=True, help="Remove files whose rows were sent again.")
@click.option(
    "--older-than",
    callback=age_or_date,
    metavar="AGE",
    help="With --prune: also remove the files of runs before then, such as 90d or a date. Nothing "
    "else has their rows.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
def rejects(  # noqa: PLR0913
    *,
    settings: Settings,
    as_json: bool,
    run: str | None,
    last: int,
    is_replay: bool,
    dry_run: bool,
    is_prune: bool,
    older_than: datetime | None,
    yes: bool,
) -> None:
    """Count the rows that runs of the target rejected, by field and reason, and name their files.

    RUN is the name of a run, or its beginning. Correct the cause, or the file, and send the rows
    again with --replay. If all of them were sent, the file is renamed to replayed-…, and --prune
    removes it; rows that are rejected again are in a file of the new run.
    """
    _check_options(run, is_replay=is_replay, dry_run=dry_run, is_prune=is_prune, older=older_than)
    kept = Kept(settings)
    chosen = kept.runs if run is None else [run_named(kept.runs, run)]
    if is_replay:
        replay(kept, chosen[0], is_dry=dry_run, is_sure=yes, as_json=as_json)
    elif is_prune:
        _prune(kept, chosen, older_than, is_sure=yes, as_json=as_json)
    else:
        _list(kept, chosen[:last], as_json=as_json)


def _check_options(
    run: str | None, *, is_replay: bool, dry_run: bool, is_prune: bool, older: datetime | None
) -> None:
    problems = {
        "--replay and --prune exclude each other": is_replay and is_prune,
        "--replay needs the RUN whose rows to send again": is_replay and run is None,
        "--dry-run is for --replay": dry_run and not is_replay,
        "--older-than is for --prune": older is not None and not is_prune,
    }
    if problem := next((words for words, is_there in problems.items() if is_there), None):
        raise click.UsageError(problem, click.get_current_context())


def _list(kept: Kept, runs: Sequence[str], *, as_json: bool) -> None:
    own = {name: [file for file in kept.files if file.run == name] for name in runs}
    lines = [line for name in runs for line in _lines(name, kept.reports, own[name])]
    counted = rows_of([file for files in own.values() for file in files])
    show(
        {"rejected": lines, "files": counted},
        Table(
            "Rejected rows",
            ("Run", "Stream", "Field", "Reason", "Rows"),
            [tuple(line.values()) for line in lines],
            "No row was rejected.",
        ),
        # Not a table: a path is copied as a whole.
        *map(sentence, counted),
        *(["These files have your data. Nothing removes them but --prune."] if counted else []),
        as_json=as_json,
    )


def _lines(name: str, reports: Mapping[str, Run], files: list[KeptRows]) -> list[dict[str, Any]]:
    """Return the rejected rows of a run: from its report, or from its files if it has none."""
    if (report := reports.get(name)) is not None:
        return [
            {
                "run": name,
                "stream": stream,
                **_kind(each.field, each.type),
                "rows": each.rows,
            }
            for stream, own in report.streams.items()
            if isinstance(own, ReportedImports)
            for each in own.rejected_by
        ]
    found: Counter[tuple[str, str | None, str | None]] = Counter()
    for file in files:
        if file.kind is RowsKind.UNDELIVERED:
            continue
        for stream, record in records(file):
            # Demandbase may have named both, and its names may be values.
            field, kind = record.get(_FIELD), record.get(_TYPE)
            found[stream, field and mask_name(str(field)), kind and mask_name(str(kind))] += 1
    return [
        {"run": name, "stream": stream, **_kind(field, kind), "rows": rows}
        for (stream, field, kind), rows in found.most_common()
    ]


def _kind(field: str | None, kind: str | None) -> dict[str, str | None]:
    return {"field": field, "reason": kind}


def _prune(
    kept: Kept,
    runs: Sequence[str],
    older_than: datetime | None,
    *,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Remove the files that were replayed, and those of runs before a time."""
    files = [file for file in kept.files if file.run in runs]
    chosen = [file for file in files if _is_removed(file, older_than) and not kept.may_grow(file)]
    lines = rows_of(chosen)
    rows = counted(sum(line["rows"] for line in lines), "row")
    if chosen and not is_sure:
        confirm([*map(sentence, lines), f"Remove {_files(len(chosen))} with {rows}?"])
    for file in chosen:
        remove(file)
    left = len(files) - len(chosen)
    removed = f"Removed {_files(len(chosen))} with {rows}" if chosen else "Nothing was removed"
    show(
        {"removed": lines, "files_left": left},
        *map(sentence, lines),
        f"{removed}. {_files(left)} left, with rows that were not sent again."
        if left
        else f"{removed}.",
        as_json=as_json,
    )


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _is_removed(file: KeptRows, older_than: datetime | None) -> bool:
    if file.kind is RowsKind.REPLAYED:
        return True
    return older_than is not None and file.began_at is not None and file.began_at < older_than
