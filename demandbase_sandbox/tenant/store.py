"""The tenant's rows in SQLite, with values as in an export."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demandbase_sandbox.tenant.sample import DEFAULT_ROWS, sample_rows
from demandbase_sandbox.tenant.schema import SAMPLE_ENTITIES, TenantEntity, TenantField

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


FETCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a store in memory."""

    database: sqlite3.Connection
    entities: Mapping[str, TenantEntity]


class Store:
    """A tenant's rows. Thread-safe. ``lock`` makes several calls atomic.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.entities: dict[str, TenantEntity] = {}

    def open(self) -> None:
        """Trade durability for speed: the file is not needed after a crash."""
        self.database.execute("PRAGMA journal_mode = MEMORY")
        self.database.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.database.close()

    def fill(self, seed: int, rows: Mapping[str, int]) -> None:
        """Insert the sample rows of entities that the file does not have yet."""
        counts = {**DEFAULT_ROWS, **rows}
        with self.lock:
            for entity in SAMPLE_ENTITIES:
                if not self._has_table(entity.name):
                    self.add_entity(
                        entity, sample_rows(entity, counts.get(entity.name, 0), counts, seed)
                    )
                self.entities[entity.name] = entity

    @property
    def v1_entities(self) -> dict[str, TenantEntity]:
        """The entities of the v1 API."""
        return {name: entity for name, entity in self.entities.items() if entity.in_v1}

    def clear(self) -> None:
        """Remove all entities."""
        with self.lock:
            for name in self.entities:
                self.database.execute(f"DROP TABLE IF EXISTS {quoted(name)}")
            self.entities.clear()

    def snapshot(self) -> Snapshot:
        """Return a copy of all rows and entities."""
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        with self.lock:
            self.database.backup(copy)
            return Snapshot(copy, dict(self.entities))

    def restore(self, snapshot: Snapshot) -> None:
        """Replace all rows and entities with those of a snapshot."""
        with self.lock:
            snapshot.database.backup(self.database)
            self.entities.clear()
            self.entities.update(snapshot.entities)

    def _has_table(self, name: str) -> bool:
        found = self.database.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
        )
        return found.fetchone() is not None

    def add_entity(self, entity: TenantEntity, rows: Iterable[Sequence[str | None]]) -> None:
        """Add or replace an entity."""
        table = quoted(entity.name)
        columns = ", ".join(f"{quoted(field.name)} TEXT" for field in entity.fields)
        marks = ", ".join("?" * len(entity.fields))
        with self.transaction():
            self.database.execute(f"DROP TABLE IF EXISTS {table}")
            self.database.execute(f"CREATE TABLE {table} ({columns})")
            self.database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
            for field in entity.fields:
                if field.key or field.name == entity.id_field:
                    index = quoted(f"{entity.name}/{field.name}")
                    self.database.execute(f"CREATE INDEX {index} ON {table} ({quoted(field.name)})")
        self.entities[entity.name] = entity

    def select(
        self, entity: str, fields: Iterable[str], where: str = "1", values: Iterable[str] = ()
    ) -> Iterator[tuple[str | None, ...]]:
        """Yield rows in the order of their insertion. Callers hold ``lock`` until the last."""
        return self.select_sql(entity, map(quoted, fields), where, values)

    def select_sql(
        self, entity: str, expressions: Iterable[str], where: str, values: Iterable[str]
    ) -> Iterator[tuple[str | None, ...]]:
        """Yield expressions over the rows ``t``, in the same order and under ``lock``, too."""
        cells = ", ".join(f"CAST({item} AS TEXT)" for item in expressions)
        # Expressions consist of names from the tenant's own schema, values are bound.
        query = f"SELECT {cells} FROM {quoted(entity)} t WHERE {where} ORDER BY t.rowid"  # noqa: S608
        found = self.database.execute(query, tuple(values))
        while rows := found.fetchmany(FETCH_ROWS):
            yield from rows

    def add_field(self, entity: str, field: TenantField) -> None:
        """Add a field to an entity, empty in all rows."""
        shape = self.entities[entity]
        with self.lock:
            columns = self.database.execute(f"PRAGMA table_info({quoted(entity)})")
            if field.name not in {column[1] for column in columns}:
                self.database.execute(
                    f"ALTER TABLE {quoted(entity)} ADD COLUMN {quoted(field.name)} TEXT"
                )
            self.entities[entity] = replace(shape, fields=(*shape.fields, field))

    def delete(self, entity: str, where: str, values: Iterable[str]) -> None:
        """Delete rows."""
        with self.lock:
            self.database.execute(
                f"DELETE FROM {quoted(entity)} WHERE {where}",  # noqa: S608 - own names
                tuple(values),
            )

    def find(self, entity: str, field: str, value: str) -> list[int]:
        """Return the row ids of the rows whose field has the value."""
        with self.lock:
            found = self.database.execute(
                f"SELECT rowid FROM {quoted(entity)} WHERE {quoted(field)} = ?",  # noqa: S608
                (value,),
            )
            return [number for (number,) in found]

    def write(
        self, entity: str, row_id: int | None, values: Mapping[str, str | None], now: str = ""
    ) -> None:
        """Update a row, or insert one if there is no row id; ``now`` is its timestamp."""
        stamps = ("updated_at",) if row_id is not None else ("updated_at", "created_at")
        known = self.entities[entity].names
        cells = {**values, **{name: now for name in stamps if now and name in known}}
        with self.lock:
            if row_id is None:
                names = ", ".join(quoted(name) for name in cells)
                marks = ", ".join("?" * len(cells))
                self.database.execute(
                    f"INSERT INTO {quoted(entity)} ({names}) VALUES ({marks})",  # noqa: S608
                    tuple(cells.values()),
                )
            else:
                changes = ", ".join(f"{quoted(name)} = ?" for name in cells)
                self.database.execute(
                    f"UPDATE {quoted(entity)} SET {changes} WHERE rowid = ?",  # noqa: S608
                    (*cells.values(), row_id),
                )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction; an exception rolls it back."""
        with self.lock:
            self.database.execute("BEGIN")
            try:
                yield
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")


def quoted(name: str) -> str:
    """Return a name as an SQL identifier, whatever its characters."""
    return '"' + name.replace('"', '""') + '"'
