"""The command ``journal``: what runs have begun in Demandbase and not completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from demandbase_api.config import api_url, state
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.state.folder import EXPORT_JOURNAL
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show
from target_demandbase.config import import_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.jobs.import_journal import ImportJournal, JournalEntry
    from demandbase_cli.settings import Settings

_RUN = "demandbase"
"""Name of a run that has no entries of its own."""


@click.group(invoke_without_command=True, short_help="List what runs have begun and not completed.")
@common_options
def journal(*, settings: Settings, as_json: bool) -> None:
    """List what earlier runs have begun in Demandbase, and what the next run resumes."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    exports, imports = _exports(settings.tap_config), _imports(settings.target_config)
    document = {
        "exports": [
            {"job": job_id, "is": word, "written_at": entry.written_at}
            for entry in exports.entries()
            for job_id, word in entry.jobs()
        ],
        "imports": [
            *(_line(entry, entry.phase.value) for entry in imports.left_behind()),
            *(_line(entry, "given up") for entry in imports.given_up_entries()),
        ],
    }
    show(
        document,
        Table(
            "Export jobs that runs have begun",
            ("Job", "Is", "Written"),
            [tuple(line.values()) for line in document["exports"]],
            "No run has left export jobs behind.",
        ),
        Table(
            "Imports that are not accounted for",
            ("Id", "Is", "Stream", "Entity", "Operation", "Rows", "Began"),
            [tuple(line.values()) for line in document["imports"]],
            "No run has left imports behind.",
        ),
        as_json=as_json,
    )


@journal.command()
@click.argument("entry_id", metavar="ID")
@common_options
def forget(*, settings: Settings, entry_id: str, as_json: bool) -> None:
    """Give up a job: no run waits for it or reuses it. It goes on in Demandbase.

    The next run exports again, or sends the rows of the import again if it gets them. If the job
    still ends, rows that are only inserted are there twice.
    """
    exports, imports = _exports(settings.tap_config), _imports(settings.target_config)
    kind = None
    if exports.give_up_job(entry_id):
        kind = "export"
    for entry in imports.left_behind():
        if entry_id in {entry.job_id, entry.fingerprint}:
            imports.give_up(entry)
            kind = "import"
    if kind is None:
        raise CommandError(
            f"No entry of the journal is about {entry_id[:100]}: see “demandbase journal”. A run "
            "that is under way keeps its entries until it ends."
        )
    show(
        {"id": entry_id, "kind": kind, "is": "given up"},
        f"The {kind} {entry_id} is given up: no later run waits for it. If its job runs, it goes "
        "on in Demandbase.",
        as_json=as_json,
    )


def _line(entry: JournalEntry, word: str) -> dict[str, Any]:
    """Return an import; without the id of a job, the entry has that of its file."""
    return {
        "id": entry.job_id or entry.fingerprint,
        "is": word,
        "stream": entry.stream,
        "entity": entry.entity,
        "operation": entry.operation,
        "rows": entry.rows,
        "began_at": entry.began,
    }


def _exports(config: Mapping[str, Any]) -> ExportJournal:
    return ExportJournal(
        state(config).store(EXPORT_JOURNAL), api_url(config), config["job_reuse_hours"]
    )


def _imports(config: Mapping[str, Any]) -> ImportJournal:
    return import_journal(config, _RUN)
