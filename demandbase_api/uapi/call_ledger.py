"""Counts the day's calls in a file, so that all runs on a machine share the count."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from demandbase_api.download import spool_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from demandbase_api.operations import ApiOperation

_LOCK_SECONDS = 30.0


class CallLedger:
    """The calls of a day by kind; what was counted on another day is forgotten.

    Args:
        path: The file; it is made with the first call, and its folder with it.

    Raises:
        SpoolError: From every method: the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def used(self, operation: ApiOperation, day: date) -> int:
        """Return how many calls of a kind were made on a day."""
        return self._read(day).get(operation.name, 0)

    def add(self, operation: ApiOperation, day: date, limit: int) -> bool:
        """Count a call that is about to be made; return whether the limit allows it."""
        with self._locked():
            calls = self._read(day)
            made = calls.get(operation.name, 0)
            if made >= limit:
                return False
            self._write(day, {**calls, operation.name: made + 1})
        return True

    def _read(self, day: date) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["day"] != day.isoformat():
                return {}
            return {str(name): int(calls) for name, calls in found["calls"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise spool_error(error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # cut by a full disk: Demandbase's own count is what holds in the end

    def _write(self, day: date, calls: dict[str, int]) -> None:
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({"day": day.isoformat(), "calls": calls}), encoding="utf-8")
        fresh.replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
                yield
        except OSError as error:
            raise spool_error(error) from error
