"""Reads the parts of an export row by row: strict CSV, cells converted by the schema."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from tap_demandbase.cast import Value, caster, to_number, type_name
from tap_demandbase.errors import CellError, FileFormatError

if TYPE_CHECKING:
    import logging
    from _csv import Reader
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from demandbase_api.models import EntityField

    Column = tuple[str, int, Callable[[str], Value]]


class RowTooLongError(Exception):
    """A row has more bytes than a record may have."""


DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors from reading a gzip file that is truncated or damaged."""

_GZIP_MAGIC = b"\x1f\x8b"

_CHUNK_BYTES = 1024 * 1024

MAX_ROW_BYTES = 64 * 1024 * 1024
"""A longer row is no record: a quote is not closed, or the file is no CSV.

The csv module takes four bytes of memory for each character of a cell.
"""

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
    max_row_bytes: int = MAX_ROW_BYTES
    nul_bytes: int = 0
    """NUL bytes that have been removed so far."""
    has_warned: bool = False
    """Whether columns that were not requested have been logged."""
    plain_bytes: int = 0
    """Uncompressed bytes that have been read so far."""
    empty_parts: list[int] = field(default_factory=list)
    """Parts that have not even a header."""
    _columns: list[str] | None = None
    """Columns of the first part; later parts may come without a header."""
    _row_bytes: int = 0

    def records(self, file: BinaryIO, part: int) -> Iterator[dict[str, Value]]:
        """Yield the records of a part.

        Raises:
            FileFormatError: The file is no CSV with the selected columns.
            CellError: A cell does not fit its type.
        """
        with plain(file) as plain_file:
            text = io.TextIOWrapper(plain_file, encoding="utf-8-sig", newline="")
            try:
                # A longer line is not read to its end.
                lines = iter(partial(text.readline, self.max_row_bytes + 1), "")
                reader = csv.reader(self._lines(lines), strict=True)
                rows = self._rows(reader, part)
                if (first := next(rows, None)) is None:
                    self.empty_parts.append(part)
                else:
                    header = self.header(first, part)
                    if header is None:
                        header, rows = self._columns or [], chain([first], rows)
                    yield from self._records(rows, header, part, reader)
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
        rows = self._rows(reader, part, lines_above)
        yield from self._records(rows, header, part, reader, lines_above)

    def _lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines of rows without NUL characters, which databases reject.

        Raises:
            RowTooLongError: A row is too long.
        """
        for line in lines:
            self._row_bytes += len(line) if line.isascii() else len(line.encode())
            if self._row_bytes > self.max_row_bytes:
                raise RowTooLongError
            if "\0" in line:
                self.nul_bytes += line.count("\0")
                yield line.replace("\0", "")
            else:
                yield line

    def _rows(
        self, reader: Reader, part: int, lines_above: Callable[[], int] = lambda: 0
    ) -> Iterator[list[str]]:
        self._row_bytes = 0
        lines_read = 0
        try:
            for row in reader:
                self._row_bytes = 0
                lines_read = reader.line_num
                yield row
        except csv.Error as error:
            # The csv module's messages do not quote the file.
            self._fail(f"is no valid CSV ({error})", part, lines_above() + reader.line_num)
        except RowTooLongError:
            self._fail(
                f"begins a row of more than {self.max_row_bytes / 2**20:g} MiB, as if a quote were "
                "not closed. Run again. If the error persists, deselect fields with long texts, or "
                "ask Demandbase's support about the job",
                part,
                lines_above() + lines_read + 1,
            )
        except UnicodeDecodeError:
            self._fail("is not UTF-8", part, lines_above() + reader.line_num + 1)
        except DAMAGE:
            line = lines_above() + reader.line_num + 1
            self._fail("is a damaged or truncated gzip file", part, line)

    def _records(
        self,
        rows: Iterator[list[str]],
        header: Sequence[str],
        part: int,
        reader: Reader,
        lines_above: Callable[[], int] = lambda: 0,
    ) -> Iterator[dict[str, Value]]:
        columns = self._casters(header)
        width = len(header)
        blank_line: int | None = None
        for row in rows:
            if not row and width > 1:
                # At the end of a file, blank lines are no rows.
                blank_line = blank_line or reader.line_num
                continue
            if blank_line is not None:
                line = lines_above() + blank_line
                self._fail(f"has 0 cells where the header has {width}", part, line)
            if not row:
                # A single empty cell may be written as an empty line.
                row = [""]  # noqa: PLW2901
            if len(row) != width:
                line = lines_above() + reader.line_num
                self._fail(f"has {len(row)} cells where the header has {width}", part, line)
            try:
                record = {name: to_value(row[index]) for name, index, to_value in columns}
            except ValueError:
                self._fail_cell(columns, row, part, lines_above() + reader.line_num)
            yield record

    def _casters(self, header: Sequence[str]) -> list[Column]:
        return [
            (name, header.index(name), caster(schema)) for name, schema in self.properties.items()
        ]

    def header(self, row: Sequence[str], part: int) -> list[str] | None:
        """Return a part's columns, named as the properties if they are known.

        Args:
            row: The first row.
            part: Number of the part, counted from 1.

        Returns:
            ``None`` if the row is a record with the columns of the first part.

        Raises:
            FileFormatError: A selected column is missing, or a column is repeated.
        """
        header = as_properties(row, self.fields)
        if self._columns is not None and self._is_record(row, self._columns):
            return None
        self.check_columns(header, part)
        if self._columns is None:
            self._columns = header
        return header

    @property
    def columns(self) -> list[str] | None:
        """Columns of the first part."""
        return self._columns

    def _is_record(self, row: Sequence[str], columns: Sequence[str]) -> bool:
        """Return whether the first row of a part without a header is a record."""
        known = {_folded(name) for name in chain(columns, self._names())}
        return (
            len(row) == len(columns)
            and not any(_folded(cell) in known for cell in row)
            and all(_fits(to_value, row[index]) for _, index, to_value in self._casters(columns))
        )

    def _names(self) -> Iterator[str]:
        """Yield the names that columns of the selected properties may have."""
        yield from self.properties
        for entity_field in self.fields.values():
            yield entity_field.job_name
            if entity_field.label:
                yield entity_field.label

    def check_columns(self, header: Sequence[str], part: int) -> None:
        """Check that a part has each selected column once; warn about other columns.

        Raises:
            FileFormatError: A selected column is missing, or a column is repeated.
        """
        if problem := header_problem(header, self.properties, self.fields, self.advice):
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
        text = next(row[index] for column, index, _ in columns if column == name)
        advice = (
            f"Set stream_options.{self.stream}.lenient_numbers to read it as a number"
            if wanted == "integer" and _fits(to_number, text)
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
    fields: Mapping[str, EntityField],
    advice: str,
) -> str | None:
    """Return what is wrong with a part's columns; ``None`` if nothing is.

    Args:
        header: The columns, named as the properties if they are known.
        properties: The selected properties.
        fields: Field by property.
        advice: Advice for a missing column, without a full stop.
    """
    selected = list(properties)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if ambiguous := [name for name in repeated if name in selected]:
        return f"has columns of the same name: {', '.join(ambiguous)}"
    # Other columns must not be quoted yet: without a header, the first line is a record.
    missing = [name for name in selected if name not in header]
    labels = {name: entity_field.label for name, entity_field in fields.items()}
    if alike := [name for name in missing if labels.get(name) in header]:
        return (
            f"has labels as column names, and {' and '.join(alike)} share a label: deselect all "
            "but one of them"
        )
    spelled = [
        f"{column!r} instead of {name!r}"
        for name in (_column_name(name, fields) for name in missing)
        for column in header
        if _folded(column) == _folded(name)
    ]
    if spelled:
        return (
            f"has column names that differ in case or blanks: {', '.join(spelled)}. Deselect the "
            "fields, or ask Demandbase's support about the job"
        )
    if missing:
        return f"lacks the selected columns {', '.join(missing)}. {advice}"
    if repeated:
        return f"has columns of the same name: {', '.join(repeated)}"
    return None


def _column_name(name: str, fields: Mapping[str, EntityField]) -> str:
    """Return the name that a property's column should have."""
    return fields[name].job_name if name in fields else name


def _folded(name: str) -> str:
    """Return a name without regard to case and blanks."""
    return "".join(name.split()).casefold()


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
