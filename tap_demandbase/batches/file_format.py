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
    """

    suffix: str
    """How the files' names end."""
    is_typed: bool = False
    """Whether values to encode may be of Arrow's types."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns

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
