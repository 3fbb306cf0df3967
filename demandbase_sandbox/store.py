"""The tenant in SQLite: rows as the texts that an export shows, jobs as documents."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.sample import DEFAULT_ROWS, sample_rows
from demandbase_sandbox.tenant_schema import SAMPLE_ENTITIES, TenantEntity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


class Store:
    """One tenant. Every method may be called from any thread; ``lock`` makes steps one.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = MEMORY")
        self._db.execute("PRAGMA synchronous = OFF")
        self.entities: dict[str, TenantEntity] = {}

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()

    def fill(self, seed: int, rows: Mapping[str, int]) -> None:
        """Put the sample tenant in, unless the file holds one already."""
        counts = {**DEFAULT_ROWS, **rows}
        with self.lock:
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS jobs"
                " (number INTEGER PRIMARY KEY, kind TEXT, id TEXT UNIQUE, document TEXT)"
            )
            for entity in SAMPLE_ENTITIES:
                if not self._has_table(entity.name):
                    self.add_entity(entity, sample_rows(entity, counts[entity.name], counts, seed))
                self.entities[entity.name] = entity

    def clear(self) -> None:
        """Remove everything."""
        with self.lock:
            for name in [*self.entities, "jobs"]:
                self._db.execute(f'DROP TABLE IF EXISTS "{name}"')
            self.entities.clear()

    def _has_table(self, name: str) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
        )
        return found.fetchone() is not None

    def add_entity(self, entity: TenantEntity, rows: Iterable[list[str | None]]) -> None:
        """Add an entity, or put another in its place."""
        columns = ", ".join(f'"{field.name}" TEXT' for field in entity.fields)
        marks = ", ".join("?" * len(entity.fields))
        with self.lock:
            self._db.execute("BEGIN")
            self._db.execute(f'DROP TABLE IF EXISTS "{entity.name}"')
            self._db.execute(f'CREATE TABLE "{entity.name}" ({columns})')
            self._db.executemany(f'INSERT INTO "{entity.name}" VALUES ({marks})', rows)  # noqa: S608
            for field in entity.fields:
                if field.key:
                    self._db.execute(
                        f'CREATE INDEX "{entity.name}/{field.name}" '
                        f'ON "{entity.name}" ("{field.name}")'
                    )
            self._db.execute("COMMIT")
            self.entities[entity.name] = entity

    def select(
        self, entity: str, fields: Iterable[str], where: str = "1", values: Iterable[str] = ()
    ) -> Iterator[tuple[str | None, ...]]:
        """Yield rows in the order they came in."""
        columns = ", ".join(f'"{name}"' for name in fields)
        # Names come from the entity's own schema, values are bound.
        query = f'SELECT {columns} FROM "{entity}" WHERE {where} ORDER BY rowid'  # noqa: S608
        with self.lock:
            yield from self._db.execute(query, tuple(values))

    def find(self, entity: str, field: str, value: str) -> list[int]:
        """Return the row numbers in SQLite whose field has the value."""
        with self.lock:
            found = self._db.execute(
                f'SELECT rowid FROM "{entity}" WHERE "{field}" = ?',  # noqa: S608
                (value,),
            )
            return [number for (number,) in found]

    def write(self, entity: str, row_id: int | None, cells: Mapping[str, str | None]) -> None:
        """Change a row, or add one."""
        names = ", ".join(f'"{name}"' for name in cells)
        with self.lock:
            if row_id is None:
                marks = ", ".join("?" * len(cells))
                self._db.execute(
                    f'INSERT INTO "{entity}" ({names}) VALUES ({marks})',  # noqa: S608
                    tuple(cells.values()),
                )
            else:
                changes = ", ".join(f'"{name}" = ?' for name in cells)
                self._db.execute(
                    f'UPDATE "{entity}" SET {changes} WHERE rowid = ?',  # noqa: S608
                    (*cells.values(), row_id),
                )

    def transaction(self) -> sqlite3.Connection:
        """Return the connection as a context manager; hold ``lock`` around it."""
        self._db.execute("BEGIN")
        return self._db

    def save_job(self, kind: str, job: dict[str, Any]) -> None:
        """Keep a job."""
        with self.lock:
            self._db.execute(
                "INSERT INTO jobs (kind, id, document) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (kind, job["id"], json.dumps(job)),
            )

    def job(self, kind: str, job_id: str) -> dict[str, Any] | None:
        """Return a job."""
        with self.lock:
            found = self._db.execute(
                "SELECT document FROM jobs WHERE kind = ? AND id = ?", (kind, job_id)
            ).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def jobs(self, kind: str) -> list[dict[str, Any]]:
        """Return the jobs, newest first."""
        with self.lock:
            found = self._db.execute(
                "SELECT document FROM jobs WHERE kind = ? ORDER BY number DESC", (kind,)
            ).fetchall()
        return [dict(json.loads(document)) for (document,) in found]
