"""Reads the parts of an export row by row: strict CSV, cells converted by the schema."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from tap_demandbase.cast import Value, caster, type_name
from tap_demandbase.errors import CellError, FileFormatError

if TYPE_CHECKING:
    import logging
    from _csv import Reader
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from demandbase_api.models import EntityField

    Column = tuple[str, int, Callable[[str], Value]]


DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors from reading a gzip file that is truncated or damaged."""

_GZIP_MAGIC = b"\x1f\x8b"

_CHUNK_BYTES = 1024 * 1024

# A cell may hold a whole document; the default limit is 131,072 characters.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclass
class PartReader:
    """Reads the parts of one job, which may be gzip files or plain ones.

    Args:
        stream: Name of the stream, for messages.
        job_id: Id of the job, for messages.
        properties: JSON Schema by selected property, in the order of the records.
        logger: Receives a warning about columns that were not requested.
        fields: Field by property, for the columns' names. Default: the property's name.
        advice: Advice for a missing column, without a full stop.
    """

    stream: str
    job_id: str
    properties: Mapping[str, Mapping[str, Any]]
    logger: logging.Logger
    fields: Mapping[str, EntityField] = field(default_factory=dict)
    advice: str = "Run discovery again"
    nul_bytes: int = 0
    """NUL bytes that have been removed so far."""
    has_warned: bool = False
    """Whether columns that were not requested have been logged."""
    plain_bytes: int = 0
    """Uncompressed bytes that have been read so far."""

    def records(self, file: BinaryIO, part: int) -> Iterator[dict[str, Value]]:
        """Yield the records of a part.

        Raises:
            FileFormatError: The file is no CSV with the selected columns.
            CellError: A cell does not fit its type.
        """
        with plain(file) as plain_file:
            text = io.TextIOWrapper(plain_file, encoding="utf-8-sig", newline="")
            try:
                reader = csv.reader(self._lines(text), strict=True)
                rows = self._rows(reader, part, lambda: reader.line_num)
                if (columns := next(rows, None)) is not None:
                    header = as_properties(columns, self.fields)
                    self.check_columns(header, part)
                    yield from self._records(rows, header, part, lambda: reader.line_num)
                self.plain_bytes += plain_file.tell()
            finally:
                # The caller closes the file.
                text.detach()

    def records_below(
        self, lines: Iterable[str], header: Sequence[str], part: int, lines_above: Callable[[], int]
    ) -> Iterator[dict[str, Value]]:
        """Yield the records of lines from the middle of a part.

        Args:
            lines: The lines with their ends; the first one starts a row.
            header: The part's columns, already checked.
            part: Number of the part, counted from 1.
            lines_above: Returns the number of lines above; called only for an error.

        Raises:
            FileFormatError: The lines are no CSV with these columns.
            CellError: A cell does not fit its type.
        """
        reader = csv.reader(self._lines(lines), strict=True)

        def line() -> int:
            return lines_above() + reader.line_num

        yield from self._records(self._rows(reader, part, line), header, part, line)

    def _lines(self, text: Iterable[str]) -> Iterator[str]:
        """Yield the lines without NUL characters, which databases reject."""
        for line in text:
            if "\0" in line:
                self.nul_bytes += line.count("\0")
                yield line.replace("\0", "")
            else:
                yield line

    def _rows(self, reader: Reader, part: int, line: Callable[[], int]) -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            # The csv module's messages do not quote the file.
            self._fail(f"is no valid CSV ({error})", part, line())
        except UnicodeDecodeError:
            self._fail("is not UTF-8", part, line() + 1)
        except DAMAGE:
            self._fail("is a damaged or truncated gzip file", part, line() + 1)

    def _records(
        self,
        rows: Iterator[list[str]],
        header: Sequence[str],
        part: int,
        line: Callable[[], int],
    ) -> Iterator[dict[str, Value]]:
        columns = [
            (name, header.index(name), caster(schema)) for name, schema in self.properties.items()
        ]
        width = len(header)
        for row in rows:
            if len(row) != width:
                if not row and width == 1:
                    # A single empty cell may be written as an empty line.
                    row = [""]  # noqa: PLW2901
                else:
                    self._fail(f"has {len(row)} cells where the header has {width}", part, line())
            try:
                record = {name: to_value(row[index]) for name, index, to_value in columns}
            except ValueError:
                self._fail_cell(columns, row, part, line())
            yield record

    def check_columns(self, header: Sequence[str], part: int) -> None:
        """Check that a part has each selected column once; warn about other columns.

        Raises:
            FileFormatError: A selected column is missing, or a column is repeated.
        """
        labels = {name: entity_field.label for name, entity_field in self.fields.items()}
        if problem := header_problem(header, self.properties, labels, self.advice):
            self._fail(problem, part, 1)
        unexpected = [name for name in header if name not in self.properties]
        if unexpected and not self.has_warned:
            self.has_warned = True
            self.logger.warning(
                "The export job %s of stream %s has columns that were not requested; "
                "they are ignored: %s",
                self.job_id,
                self.stream,
                ", ".join(unexpected),
            )

    def _fail(self, problem: str, part: int, line: int | None) -> NoReturn:
        raise FileFormatError(
            f"Part {part} of the export job {self.job_id} of stream {self.stream}, "
            f"line {line}, {problem}.",
            stream=self.stream,
            job_id=self.job_id,
            part=part,
            line=line,
        )

    def _fail_cell(self, columns: list[Column], row: list[str], part: int, line: int) -> NoReturn:
        name = next(name for name, index, to_value in columns if not _fits(to_value, row[index]))
        wanted = type_name(self.properties[name])
        advice = (
            f"Set stream_options.{self.stream}.lenient_numbers to read it as a number"
            if wanted == "integer"
            else "Set the property's type in the catalog (in Meltano: the extra schema)"
        )
        raise CellError(
            f"Stream {self.stream}: the cell in part {part}, line {line}, column {name} of the "
            f"export job {self.job_id} is no {wanted}. {advice}, or correct the field in "
            "Demandbase.",
            stream=self.stream,
            job_id=self.job_id,
            part=part,
            line=line,
        ) from None


def as_properties(header: Sequence[str], fields: Mapping[str, EntityField]) -> list[str]:
    """Return a header with the property's name for each known column.

    A column has the name that the field has in jobs. If no column has that name, the field's label
    counts, provided that no other field has it.

    Args:
        header: Names of the columns.
        fields: Field by requested property.
    """
    by_name = {field.job_name: name for name, field in fields.items()}
    found = {by_name[column] for column in header if column in by_name}
    labels = [field.label for field in fields.values()]
    by_label = {
        field.label: name
        for name, field in fields.items()
        if field.label and name not in found and labels.count(field.label) == 1
    }
    return [by_name.get(column) or by_label.get(column) or column for column in header]


def header_problem(
    header: Sequence[str],
    properties: Iterable[str],
    labels: Mapping[str, str | None],
    advice: str,
) -> str | None:
    """Return what is wrong with a part's columns; ``None`` if nothing is.

    Args:
        header: The columns, named as the properties if they are known.
        properties: The selected properties.
        labels: Label by property.
        advice: Advice for a missing column, without a full stop.
    """
    selected = list(properties)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if ambiguous := [name for name in repeated if name in selected]:
        return f"has columns of the same name: {', '.join(ambiguous)}"
    # The columns must not be quoted yet: without a header, the first line is a record.
    missing = [name for name in selected if name not in header]
    if alike := [name for name in missing if labels.get(name) in header]:
        return (
            f"has labels as column names, and {' and '.join(alike)} share a label: deselect all "
            "but one of them"
        )
    if missing:
        return f"lacks the selected columns {', '.join(missing)}. {advice}"
    if repeated:
        return f"has columns of the same name: {', '.join(repeated)}"
    return None


def is_gzip(file: BinaryIO) -> bool:
    """Return whether a file is a gzip file; its position is the start afterwards."""
    file.seek(0)
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return start == _GZIP_MAGIC


@contextmanager
def plain(file: BinaryIO) -> Iterator[BinaryIO]:
    """Open a file from its start as uncompressed bytes; the file itself stays open.

    Reading raises one of ``DAMAGE`` if a gzip file is truncated or damaged.
    """
    if not is_gzip(file):
        yield file
        return
    # GzipFile reads all members, and raises if the last one is truncated.
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        yield cast("BinaryIO", unpacked)


def lines_before(file: BinaryIO, offset: int) -> int:
    r"""Return the number of lines before an offset; a line ends at \n, \r or both.

    Args:
        file: A gzip file or a plain one.
        offset: Offset in the uncompressed bytes.
    """
    lines = 0
    ended_with_return = False
    # A damaged file may end before the offset.
    with plain(file) as text, suppress(*DAMAGE):
        while offset and (chunk := text.read(min(offset, _CHUNK_BYTES))):
            offset -= len(chunk)
            lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
            lines -= ended_with_return and chunk.startswith(b"\n")
            ended_with_return = chunk.endswith(b"\r")
    return lines


def _fits(to_value: Callable[[str], Value], text: str) -> bool:
    try:
        to_value(text)
    except ValueError:
        return False
    return True
