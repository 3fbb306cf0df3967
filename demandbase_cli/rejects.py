"""The command ``rejects``: which rows the target's runs rejected, without their values."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from demandbase_api import run_files
from demandbase_api.redaction import mask_name
from demandbase_api.run_report import ReportedImports
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show
from demandbase_cli.run_reports import TARGET, Run, all_runs, run_named, unreadable
from target_demandbase.config import rejects_folder
from target_demandbase.rejects import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from demandbase_cli.settings import Settings

_FIELD, _TYPE = (list(Reject("").columns())[number] for number in (1, 2))


@click.command()
@click.argument("run", required=False)
@common_options
def rejects(*, settings: Settings, as_json: bool, run: str | None) -> None:
    """Count the rejected rows of the target's runs by reason and field; RUN: of one run.

    The files have the rows: correct them, and send them with “target-demandbase < FILE”.
    """
    folder = rejects_folder(settings.target_config)
    try:
        files = run_files.rejects(folder)
        reports = {each.name: each for each in all_runs(settings) if each.plugin == TARGET}
        names = sorted({*files, *reports}, reverse=True)
        chosen = names if run is None else [run_named(names, run)]
        lines = [line for name in chosen for line in _lines(name, reports, files.get(name, []))]
        kept = [
            {"run": name, "file": str(path), "records": sum(1 for _ in _records(path))}
            for name in chosen
            for path in files.get(name, [])
        ]
    except OSError as error:
        raise unreadable(folder, error) from error
    show(
        {"rejected": lines, "files": kept},
        Table(
            "Rejected rows",
            ("Run", "Stream", "Field", "Reason", "Rows"),
            [tuple(line.values()) for line in lines],
            "No row was rejected.",
        ),
        # Not a table: a path is copied as a whole.
        *(f"{line['records']} records, which have your data: {line['file']}" for line in kept),
        as_json=as_json,
    )


def _lines(name: str, reports: Mapping[str, Run], files: list[Path]) -> list[dict[str, Any]]:
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
    for path in files:
        for stream, record in _records(path):
            # Demandbase may have named both, and its names may be values.
            field, kind = record.get(_FIELD), record.get(_TYPE)
            found[stream, field and mask_name(str(field)), kind and mask_name(str(kind))] += 1
    return [
        {"run": name, "stream": stream, **_kind(field, kind), "rows": rows}
        for (stream, field, kind), rows in found.most_common()
    ]


def _kind(field: str | None, kind: str | None) -> dict[str, str | None]:
    return {"field": field, "reason": kind}


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the stream and the record of each line; a line that was cut short is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                message = json.loads(line)
                if message["type"] == "RECORD":
                    yield message["stream"], message["record"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
