"""Puts rows into batch files of a bounded number of rows, and these where the target finds them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from demandbase_api.errors import spool_error
from tap_demandbase.batches.ahead_writer import AheadWriter
from tap_demandbase.errors import BatchStorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig

    from tap_demandbase.batches.file_format import FileFormat, FileWriter
    from tap_demandbase.blocks.part_blocks import Item
    from tap_demandbase.cast import Value
    from tap_demandbase.spool import Spool

    Batch = tuple[int, str | dict[str, Value]]

_COPY_BYTES = 1024 * 1024


class BatchFiles:
    """The batch files of one run of a stream.

    A file is written in the spool and put in its place when it is whole: what a failed run
    leaves there has been announced.

    Args:
        name: What the files' names begin with.
        config: Where they go and how many rows each may have.
        file_format: How they are written.
        spool: Where they lie until they are whole.
    """

    def __init__(
        self, name: str, config: BatchConfig, file_format: FileFormat, spool: Spool
    ) -> None:
        self._name = f"{config.storage.prefix or ''}{name}-{uuid4()}"
        self._storage = config.storage
        self._most = config.batch_size
        self._format = file_format
        self._spool = spool
        self._files = 0
        self._file: BinaryIO | None = None
        self._writer: FileWriter | None = None
        self._rows = 0

    @property
    def are_typed(self) -> bool:
        """Whether values may be of Arrow's types."""
        return self._format.is_typed

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return the rows for some values; ``ValueError`` where no file can hold all of them."""
        return self._format.encode(values)

    def write(self, items: Iterable[Item]) -> Iterator[Batch]:
        """Write rows; yield the address of each file, and records that no file can hold.

        Args:
            items: Rows, encoded by the format; all that was written before them has been yielded.

        Yields:
            How many rows went out, and where they are.

        Raises:
            SpoolError: The folder for intermediate files cannot be used.
            BatchStorageError: A file cannot be put where it should be.
        """
        try:
            for item in items:
                encoded = (
                    self._format.encode_record(item) if isinstance(item, dict) else item.encoded
                )
                if encoded is None:
                    assert isinstance(item, dict)  # noqa: S101 - blocks are encoded
                    yield from self._last()
                    yield 1, item
                else:
                    yield from self._add(encoded)
            yield from self._last()
        finally:
            # A window that is read again begins with another file.
            self._drop()

    def _add(self, rows: pa.Array) -> Iterator[Batch]:
        while len(rows):
            if self._writer is None:
                self._file = self._spool.open()
                self._writer = AheadWriter(self._format.open(self._file))
            # It may need the room of a part that has just been read.
            self._spool.settle()
            now = rows[: self._most - self._rows]
            rows = rows[len(now) :]
            try:
                self._writer.write(now)
            except OSError as error:
                raise spool_error(error) from error
            self._rows += len(now)
            if self._rows == self._most:
                yield from self._last()

    def _last(self) -> Iterator[Batch]:
        """Put the file that is under way in its place, if there is one."""
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.finish()
            self._file.seek(0)
        except OSError as error:
            raise spool_error(error) from error
        self._files += 1
        address = self._put(self._file, f"{self._name}-{self._files}{self._format.suffix}")
        rows, self._writer = self._rows, None
        self._drop()
        yield rows, address

    def _put(self, file: BinaryIO, name: str) -> str:
        self._spool.settle()
        try:
            with self._storage.open(name, "wb") as placed:
                shutil.copyfileobj(file, placed, _COPY_BYTES)
            return self._storage.get_url(name)
        # Each kind of storage has its own errors, and their texts may hold keys.
        except Exception as error:  # noqa: BLE001
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise BatchStorageError(
                f"A batch file cannot be written below batch_config.storage.root: {reason}. "
                "Check the address, its room and who may write there."
            ) from None

    def _drop(self) -> None:
        if self._writer is not None:
            # It would write its end into the closed file later.
            with suppress(Exception):
                self._writer.finish()
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None
        self._rows = 0
