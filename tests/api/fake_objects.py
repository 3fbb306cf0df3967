"""Objects in memory, with the clock of a store; versions are digests of contents, as in S3."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from demandbase_api.errors import StateError
from demandbase_api.state.objects import Objects, Stored
from demandbase_api.state.ports import Item
from tests.api.fake_exports import FakeClock


@dataclass
class FakeObjects(Objects):
    """Objects that several runs share.

    Args:
        clock: Time of the store.
        before_write: Called before each write: another run may be faster.
        stored: The objects.
        is_down: Whether nothing can be read or written.
        loses_responses: Whether writes are made, and fail nevertheless.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    before_write: Callable[[str], None] | None = None
    stored: dict[str, Stored] = field(default_factory=dict)
    is_down: bool = False
    loses_responses: bool = False

    @override
    def get(self, name: str) -> Stored | None:
        self._check()
        return self.stored.get(name)

    @override
    def put(self, name: str, content: bytes) -> None:
        self._interrupt(name)
        self._write(name, content)

    @override
    def create(self, name: str, content: bytes) -> str | None:
        self._interrupt(name)
        return None if name in self.stored else self._write(name, content)

    @override
    def replace(self, name: str, content: bytes, version: str) -> str | None:
        self._interrupt(name)
        found = self.stored.get(name)
        if found is None or found.version != version:
            return None
        return self._write(name, content)

    @override
    def open(self, name: str) -> BinaryIO:
        self._check()
        return io.BytesIO(self.stored[name].content)

    @override
    def copy_in(self, file: Path, name: str) -> None:
        self._write(name, file.read_bytes())

    @override
    def rename(self, name: str, new: str) -> None:
        self._check()
        self.stored[new] = self.stored.pop(name)

    @override
    def delete(self, name: str) -> None:
        self._interrupt(name)
        self._check()
        self.stored.pop(name, None)

    @override
    def items(self) -> list[Item]:
        self._check()
        found = self.stored.items()
        return sorted(Item(name, each.written_at, len(each.content)) for name, each in found)

    @override
    def location(self, name: str = "") -> str:
        return f"s3://bucket/{name}"

    @override
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.time, UTC)

    def _interrupt(self, name: str) -> None:
        if self.before_write is not None:
            self.before_write(name)

    def _write(self, name: str, content: bytes) -> str:
        self._check()
        version = hashlib.md5(content, usedforsecurity=False).hexdigest()
        written = self.now()
        self.stored[name] = Stored(
            content, version, written - timedelta(microseconds=written.microsecond)
        )
        if self.loses_responses:
            raise StateError("Cannot use s3://bucket: it cannot be reached.", "no connection")
        return version

    def _check(self) -> None:
        if self.is_down:
            raise StateError("Cannot use s3://bucket: it cannot be reached.", "no connection")
