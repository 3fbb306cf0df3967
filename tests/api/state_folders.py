"""Journals and locks in a folder."""

from __future__ import annotations

from pathlib import Path

from demandbase_api.clock import Clock
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.import_journal import ImportJournal
from demandbase_api.jobs.import_lock import EntityLocks
from demandbase_api.state.folder_store import FolderLocks, FolderStore


def import_journal(folder: Path, run: str, origin: str = "") -> ImportJournal:
    return ImportJournal(FolderStore(folder), FolderLocks(folder, run), run, origin)


def export_journal(folder: Path, origin: str = "", keep_hours: float = 24) -> ExportJournal:
    return ExportJournal(FolderStore(folder), origin, keep_hours)


def entity_locks(folder: Path, origin: str, clock: Clock, timeout_seconds: float) -> EntityLocks:
    locks = FolderLocks(folder, "run")
    return EntityLocks(locks, str(folder), origin, clock, timeout_seconds)
