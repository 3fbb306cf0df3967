"""Files that runs leave for people: reports and dry runs. Their names have the time of the run."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from demandbase_api.files import make_private_folder, write_atomically
from demandbase_api.words import counted

if TYPE_CHECKING:
    import logging
    from pathlib import Path

_TIME = "%Y%m%dT%H%M%SZ"
_RUN = r"(\d{8}T\d{6}Z)-[0-9a-f]{6}"
_REPORT = re.compile(rf"report-{_RUN}\.json")
_ROWS = re.compile(r"(rejects|replayed)-(\d{8}T\d{6}Z-[0-9a-f]{6})-.*\.jsonl", re.DOTALL)
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


def write_report(folder: Path, run: str, report: str) -> Path:
    """Write the report of a run; return its path.

    Args:
        folder: Created if it does not exist.
        run: Name of the run.
        report: One line of JSON.

    Raises:
        OSError: The file cannot be written.
    """
    path = folder / f"report-{run}.json"
    make_private_folder(folder)
    write_atomically(path, f"{report}\n", durable=True)
    return path


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


def reports(folder: Path) -> dict[str, Path]:
    """Return the reports in a folder by the name of their run, the newest first.

    Raises:
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        return {}
    paths = sorted(folder.iterdir(), key=lambda path: path.name, reverse=True)
    return {
        path.stem.removeprefix("report-"): path for path in paths if _REPORT.fullmatch(path.name)
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
        path: The file.
    """

    run: str
    kind: RowsKind
    path: Path

    @property
    def began_at(self) -> datetime | None:
        """When the run began; ``None`` if its name does not say."""
        try:
            return datetime.strptime(self.run[:16], _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None

    def mark_replayed(self) -> Path:
        """Rename the file of rejected rows that were sent again; return its path.

        Raises:
            OSError: It cannot be renamed.
        """
        name = self.path.name.removeprefix(RowsKind.REJECTED)
        return self.path.rename(self.path.with_name(f"{RowsKind.REPLAYED}{name}"))


def kept_rows(rejects: Path, state: Path) -> list[KeptRows]:
    """Return the files of rows that runs kept, those of the newest run first.

    Args:
        rejects: Folder of rejected rows; it need not exist.
        state: The state folder, which has the undelivered rows.

    Raises:
        OSError: A folder cannot be read.
    """
    found = [
        KeptRows(name[2], RowsKind(name[1]), path)
        for path in (rejects.iterdir() if rejects.is_dir() else ())
        if (name := _ROWS.fullmatch(path.name))
    ]
    for folder in state.iterdir() if state.is_dir() else ():
        if name := _UNDELIVERED.fullmatch(folder.name):
            found += [
                KeptRows(name[1], RowsKind.UNDELIVERED, path) for path in folder.glob("*.jsonl")
            ]
    found.sort(key=lambda each: (each.kind, each.path.name))
    return sorted(found, key=lambda each: each.run, reverse=True)


def remove_old(folder: Path, keep_days: int, now: datetime, logger: logging.Logger) -> None:
    """Remove the reports and dry runs in a folder that are older than some days.

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


def _is_old(name: re.Match[str] | None, keep_days: int, now: datetime) -> bool:
    if name is None:
        return False
    try:
        began = datetime.strptime(name[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return False  # not a time
    return now - began > timedelta(days=keep_days)
