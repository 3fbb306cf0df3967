"""What a format of batch files has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from tap_demandbase.blocks.cells import Column
    from tap_demandbase.cast import Value


class FileWriter(ABC):
    """Writes rows into one file."""

    @abstractmethod
    def write(self, rows: pa.Array) -> None:
        """Write rows, encoded by the format."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still to be written; the file stays open."""


class FileFormat(ABC):
    """A format of batch files.

    Args:
        columns: The properties that go out, in the order of the records.
        compression: The codec, as in ``batch_config``; ``None`` where none is set.
    """

    suffix: str
    """How the files' names end."""
    compression: str | None
    """What a BATCH message says of it."""
    is_typed: bool = False
    """Whether values to encode may be of Arrow's types."""

    def __init__(self, columns: Sequence[Column], compression: str | None) -> None:
        self.columns = columns
        self.compression = compression

    @abstractmethod
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return the rows for some values, which are UTF-8 as binary where they have no type.

        Raises:
            ValueError: The format cannot hold all of them as they are.
        """

    @abstractmethod
    def encode_record(self, record: Mapping[str, Value]) -> pa.Array | None:
        """Return one row; ``None`` where such rows have to go out as RECORD messages."""

    @abstractmethod
    def open(self, file: BinaryIO) -> FileWriter:
        """Return what writes into an empty file."""
