"""Files that runs leave for people, and rows that they kept. Names have the time of the run."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.errors import StateError
from demandbase_api.files import make_private_folder, write_atomically
from demandbase_api.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

    from demandbase_api.state.ports import Item, StateStore

logger = logging.getLogger(__name__)

_TIME = "%Y%m%dT%H%M%SZ"
_RUN = r"(\d{8}T\d{6}Z)-[0-9a-f]{6}"
_REPORT = re.compile(rf"report-{_RUN}\.json")
_ROWS = re.compile(
    r"(rejects|replayed|undelivered)-(\d{8}T\d{6}Z-[0-9a-f]{6})-.*\.jsonl", re.DOTALL
)
_UNDELIVERED = re.compile(r"undelivered-(\d{8}T\d{6}Z-[0-9a-f]{6})")
_DRY_RUN = re.compile(rf"dry-run-{_RUN}")
_SETTINGS = re.compile(rf"settings-{_RUN}\.(?:json|yml)")
_REMOVED = {"report": _REPORT, "dry run": _DRY_RUN, "settings file": _SETTINGS}
"""What is removed when it is old: its noun, and the pattern of its names."""


def run_name(now: datetime) -> str:
    """Return a unique name for a run.

    Args:
        now: The time in UTC.
    """
    return f"{now.strftime(_TIME)}-{uuid.uuid4().hex[:6]}"


def dry_run_folder(folder: Path, run: str) -> Path:
    """Return the folder for the files of a dry run."""
    return folder / f"dry-run-{run}"


def write_report(folder: Path, run: str, report: str, copies: StateStore | None = None) -> str:
    """Write the report of a run; return where it is.

    Args:
        folder: Created if it does not exist.
        run: Name of the run.
        report: One line of JSON.
        copies: Gets the report in place of the folder, if there is one that can be used.

    Raises:
        OSError: The file cannot be written.
    """
    name, content = f"report-{run}.json", f"{report}\n"
    if copies is not None:
        try:
            copies.put(name, content.encode(), durable=True)
        except StateError as error:
            logger.warning("The report of this run is kept in %s: %s", folder, error)
        else:
            return copies.location(name)
    path = folder / name
    make_private_folder(folder)
    write_atomically(path, content, durable=True)
    return str(path)


def write_settings(folder: Path, run: str, settings: str, suffix: str) -> Path:
    """Write settings that a run proposes; return the file's path.

    Args:
        folder: Created if it does not exist.
        run: Name of the run.
        settings: The settings as text.
        suffix: ``json`` or ``yml``.

    Raises:
        OSError: The file cannot be written.
    """
    path = folder / f"settings-{run}.{suffix}"
    make_private_folder(folder)
    write_atomically(path, f"{settings}\n")
    return path


def reports(store: StateStore) -> dict[str, str]:
    """Return the names of the reports in a store by the name of their run, the newest first.

    Raises:
        StateError: The store cannot be read.
    """
    names = sorted((item.name for item in store.items("report-")), reverse=True)
    return {
        name.removeprefix("report-").removesuffix(".json"): name
        for name in names
        if _REPORT.fullmatch(name)
    }


class RowsKind(StrEnum):
    """Why a run kept rows. The value begins the names of their files, or of their folder."""

    REJECTED = "rejects"
    REPLAYED = "replayed"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class KeptRows:
    """A file of the rows of one stream that a run did not import.

    Args:
        run: Name of the run.
        kind: Why they were kept.
        store: Has the file.
        item: The file.
    """

    run: str
    kind: RowsKind
    store: StateStore
    item: Item

    @property
    def location(self) -> str:
        """Where it is, for a person."""
        return self.store.location(self.item.name)

    @property
    def began_at(self) -> datetime | None:
        """When the run began; ``None`` if its name does not say."""
        try:
            return datetime.strptime(self.run[:16], _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None

    def open(self) -> BinaryIO:
        """Open the file for reading.

        Raises:
            StateError: It cannot be read.
        """
        return self.store.open(self.item.name)

    def has_changed(self) -> bool:
        """Return whether the file is not as it was when it was listed.

        Raises:
            StateError: It cannot be listed.
        """
        return self.item not in self.store.items(self.item.name)

    def mark_replayed(self) -> str:
        """Rename the file of rejected rows that were sent again; return where it is.

        Raises:
            StateError: It cannot be renamed.
        """
        name = f"{RowsKind.REPLAYED}{self.item.name.removeprefix(RowsKind.REJECTED)}"
        self.store.rename(self.item.name, name)
        return self.store.location(name)

    def remove(self) -> None:
        """Remove the file, and the folder of undelivered rows if it was the last one.

        Raises:
            StateError: It cannot be removed.
        """
        self.store.delete(self.item.name)
        if self.kind is RowsKind.UNDELIVERED:
            self.store.close()


def kept_rows(stores: Iterable[StateStore], state: Path) -> list[KeptRows]:
    """Return the files of rows that runs kept, those of the newest run first.

    Args:
        stores: Places of rejected rows.
        state: The state folder of this machine, which has folders of undelivered rows.

    Raises:
        OSError: A folder cannot be read.
        StateError: A store cannot be read.
    """
    # Plugins start without filelock.
    from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415

    found = [
        KeptRows(name[2], RowsKind(name[1]), store, item)
        for store in stores
        for item in store.items()
        if (name := _ROWS.fullmatch(item.name))
    ]
    for folder in state.iterdir() if state.is_dir() else ():
        if name := _UNDELIVERED.fullmatch(folder.name):
            store = FolderStore(folder)
            found += [
                KeptRows(name[1], RowsKind.UNDELIVERED, store, item)
                for item in store.items()
                if item.name.endswith(".jsonl")
            ]
    found.sort(key=lambda each: (each.kind, each.item.name))
    return sorted(found, key=lambda each: each.run, reverse=True)


def remove_old(folder: Path, keep_days: int, now: datetime, logger: logging.Logger) -> None:
    """Remove the reports, dry runs and proposed settings in a folder that are older than some days.

    Anything else stays, whatever its age: rejected and undelivered rows are the only copy of data.

    Args:
        folder: The folder; it need not exist.
        keep_days: Days for which they are kept.
        now: The time in UTC.
        logger: Receives how many have been removed.
    """
    removed = dict.fromkeys(_REMOVED, 0)
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            for noun, pattern in _REMOVED.items():
                # Another run may remove the same; what cannot be removed is tried by the next.
                with suppress(OSError):
                    if _is_old(pattern.fullmatch(path.name), keep_days, now):
                        shutil.rmtree(path) if pattern is _DRY_RUN else path.unlink()
                        removed[noun] += 1
    if parts := [counted(number, noun) for noun, number in removed.items() if number]:
        logger.info(
            "Removed %s older than keep_days (%d) from %s", ", ".join(parts), keep_days, folder
        )


def remove_old_reports(
    store: StateStore, keep_days: int, now: datetime, logger: logging.Logger
) -> None:
    """Remove the reports in a store that are older than some days; see ``remove_old``."""
    removed = 0
    with suppress(StateError):  # what cannot be removed is tried by the next run
        for item in store.items():
            if _is_old(_REPORT.fullmatch(item.name), keep_days, now):
                store.delete(item.name)
                removed += 1
    if removed:
        logger.info(
            "Removed %s older than keep_days (%d) from %s",
            counted(removed, "report"),
            keep_days,
            store.location(),
        )


def _is_old(name: re.Match[str] | None, keep_days: int, now: datetime) -> bool:
    if name is None:
        return False
    try:
        began = datetime.strptime(name[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return False  # not a time
    return now - began > timedelta(days=keep_days)
