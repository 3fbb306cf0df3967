"""The jobs in SQLite, as documents, and the row errors of imports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.store import Store


TERMINAL = frozenset({"completed", "finished", "failed", "cancelled"})


class JobBook:
    """All jobs of a tenant. They do not outlive the server, whose folder holds their files.

    Args:
        store: Whose file and lock it shares.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database: sqlite3.Connection = store.database
        self.clear()

    def clear(self) -> None:
        """Forget all jobs."""
        with self._store.lock:
            self._database.executescript("""
                DROP TABLE IF EXISTS "sandbox jobs";
                DROP TABLE IF EXISTS "sandbox row errors";
                CREATE TABLE "sandbox jobs" (
                    number INTEGER PRIMARY KEY, kind TEXT, id TEXT UNIQUE,
                    status TEXT, settled INTEGER, document TEXT
                );
                CREATE INDEX "sandbox open jobs" ON "sandbox jobs" (settled);
                CREATE TABLE "sandbox row errors" (
                    job_id TEXT, number INTEGER, document TEXT, PRIMARY KEY (job_id, number)
                );
            """)

    def save(self, kind: str, job: dict[str, Any]) -> None:
        """Keep a job."""
        # A job that shall be gone has to be looked at even after its end.
        settled = job["status"] in TERMINAL and "job_gone" not in job["_secret"]
        with self._store.lock:
            self._database.execute(
                'INSERT INTO "sandbox jobs" (kind, id, status, settled, document)'
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status,"
                " settled = excluded.settled, document = excluded.document",
                (kind, job["id"], job["status"], settled, json.dumps(job)),
            )

    def delete(self, job_id: str) -> None:
        """Forget a job."""
        with self._store.lock:
            self._database.execute('DELETE FROM "sandbox jobs" WHERE id = ?', (job_id,))

    def get(self, kind: str, job_id: str) -> dict[str, Any] | None:
        """Return a job."""
        found = self._jobs("WHERE kind = ? AND id = ?", kind, job_id)
        return found[0] if found else None

    def find(self, job_id: str) -> dict[str, Any] | None:
        """Return a job of any kind."""
        found = self._jobs("WHERE id = ?", job_id)
        return found[0] if found else None

    def unsettled(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the jobs that time can still change, with their kinds, oldest first."""
        with self._store.lock:
            found = self._database.execute(
                'SELECT kind, document FROM "sandbox jobs" WHERE NOT settled ORDER BY number'
            ).fetchall()
        return [(kind, json.loads(document)) for kind, document in found]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the jobs, newest first."""
        return self._jobs("WHERE kind = ? ORDER BY number DESC", kind)

    def page(
        self, kind: str, status: str | None, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return some jobs, newest first, and how many there are."""
        which = "WHERE kind = ? AND (? IS NULL OR status = ?)"
        with self._store.lock:
            total = self._database.execute(
                f'SELECT count(*) FROM "sandbox jobs" {which}',  # noqa: S608 - no foreign text
                (kind, status, status),
            ).fetchone()[0]
            # An offset may be larger than what SQLite can count.
            order = "ORDER BY number DESC LIMIT ? OFFSET ?"
            bound = (limit, min(offset, total))
            return self._jobs(f"{which} {order}", kind, status, status, *bound), total

    def add_row_errors(self, job_id: str, errors: Iterable[tuple[int, dict[str, Any]]]) -> None:
        """Keep row errors of a job with their running numbers."""
        with self._store.lock:
            self._database.executemany(
                'INSERT INTO "sandbox row errors" VALUES (?, ?, ?)',
                ((job_id, number, json.dumps(error)) for number, error in errors),
            )

    def row_errors(self, job_id: str, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Return some row errors of a job in the file's order, and how many there are."""
        with self._store.lock:
            total = self._database.execute(
                'SELECT count(*) FROM "sandbox row errors" WHERE job_id = ?', (job_id,)
            ).fetchone()[0]
            found = self._database.execute(
                'SELECT document FROM "sandbox row errors"'
                " WHERE job_id = ? AND number >= ? ORDER BY number LIMIT ?",
                (job_id, min(offset, total), limit),
            ).fetchall()
        return [json.loads(document) for (document,) in found], total

    def _jobs(self, which: str, *values: object) -> list[dict[str, Any]]:
        with self._store.lock:
            found = self._database.execute(
                f'SELECT document FROM "sandbox jobs" {which}',  # noqa: S608 - no foreign text
                values,
            ).fetchall()
        return [json.loads(document) for (document,) in found]


class TenantJobs:
    """Jobs of one kind.

    Args:
        store: The tenant's rows.
        book: Where jobs are kept.
        folder: Where their files lie.
        clock: The sandbox's time.
        options: How the sandbox behaves.
    """

    def __init__(
        self,
        store: Store,
        book: JobBook,
        folder: Path,
        clock: SandboxClock,
        options: SandboxOptions,
    ) -> None:
        self._store = store
        self._book = book
        self._folder = folder
        self._clock = clock
        self._options = options


def public(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {name: value for name, value in job.items() if not name.startswith("_")}
