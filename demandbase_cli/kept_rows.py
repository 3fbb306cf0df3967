"""The rows that runs of the target kept, since Demandbase does not have them."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from demandbase_api.config import state
from demandbase_api.errors import StateError
from demandbase_api.run_files import KeptRows, RowsKind, kept_rows
from demandbase_api.state.folder import KEPT_ROWS
from demandbase_api.words import counted
from demandbase_cli.errors import CommandError
from demandbase_cli.run_reports import TARGET, Run, all_runs, unreadable
from target_demandbase.config import rejects_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demandbase_cli.settings import Settings

_QUIET_SECONDS = 3600.0
"""Time without a change after which a run without a report has surely ended."""

_WORDS = {
    RowsKind.REJECTED: "rejected",
    RowsKind.REPLAYED: "rejected, and sent again since",
    RowsKind.UNDELIVERED: "not sent",
}


@dataclass(frozen=True)
class Kept:
    """What runs of the target have kept.

    Args:
        settings: The settings.

    Raises:
        CommandError: From each member: a folder cannot be read.
    """

    settings: Settings

    @cached_property
    def reports(self) -> dict[str, Run]:
        """The reports of the target's runs by the name of the run."""
        return {each.name: each for each in all_runs(self.settings) if each.plugin == TARGET}

    @cached_property
    def files(self) -> list[KeptRows]:
        """The files of rows, those of the newest run first."""
        # Commands start without filelock.
        from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415

        config = self.settings.target_config
        folder, place = rejects_folder(config), state(config)
        stores = [FolderStore(folder), place.copies(KEPT_ROWS)]
        try:
            return kept_rows(filter(None, stores), place.open())
        except (OSError, StateError) as error:
            raise unreadable(folder, error) from error

    @cached_property
    def runs(self) -> list[str]:
        """The runs that have left a report or rows, the newest first."""
        return sorted({*self.reports, *(file.run for file in self.files)}, reverse=True)

    def may_grow(self, file: KeptRows) -> bool:
        """Return whether the run of a file may be under way: it has left no report yet."""
        age = time.time() - file.item.written_at.timestamp()
        return file.run not in self.reports and age < _QUIET_SECONDS


def records(kept: KeptRows) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the stream and the record of each line; a line that was cut short is left out.

    Raises:
        CommandError: The file cannot be read.
    """
    try:
        with kept.open() as file:
            for line in file:
                try:
                    message = json.loads(line)
                    if message["type"] == "RECORD" and isinstance(message["record"], dict):
                        yield str(message["stream"]), message["record"]
                except (ValueError, TypeError, KeyError, RecursionError):
                    continue
    except (OSError, StateError) as error:
        raise unreadable(kept.location, error) from error


def rows_of(files: Sequence[KeptRows]) -> list[dict[str, Any]]:
    """Return how many rows each file has, for a person and for JSON."""
    return [
        {
            "run": file.run,
            "is": _WORDS[file.kind],
            "file": file.location,
            "rows": sum(1 for _ in records(file)),
        }
        for file in files
    ]


def sentence(line: dict[str, Any]) -> str:
    """Return a line of ``rows_of`` as a sentence. It ends with the path, to be copied."""
    return f"{counted(line['rows'], 'row')}, {line['is']}: {line['file']}"


def rows_by_stream(files: Sequence[KeptRows], column: str, value: str) -> Counter[str]:
    """Return the number of rows by stream whose column has a value."""
    return Counter(
        stream for file in files for stream, record in records(file) if record.get(column) == value
    )


def remove(file: KeptRows) -> None:
    """Remove a file, and the folder of undelivered rows if it was the last one.

    Raises:
        CommandError: It cannot be removed.
    """
    try:
        file.remove()
    except StateError as error:
        raise CommandError(f"{file.location} cannot be removed: {error.reason}.") from error
