"""The fast path compared with the slow one: the same records and errors for any file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.singerlib.json import serialize_json

from tap_demandbase.arrow.json_lines import record_messages
from tap_demandbase.arrow.reader import BlockReader
from tap_demandbase.arrow.splitter import MAX_BLOCKS_A_ROW
from tap_demandbase.arrow.values import Column
from tap_demandbase.csv_reader import PartReader
from tap_demandbase.errors import FileFormatError, StreamError
from tests.examples import examples

pytestmark = pytest.mark.thorough

LOG = logging.getLogger("test_block_reader")
LOG.setLevel(logging.ERROR)  # thousands of files have a column too many

MAX_ROW_BYTES = 4000
"""More than blocks of 60 bytes need to give up a row."""

PROPERTIES: dict[str, dict[str, Any]] = {
    "text": {"type": ["null", "string"]},
    "count": {"type": ["null", "integer"]},
    "amount": {"type": ["null", "number"]},
    "flag": {"type": ["null", "boolean"]},
    "day": {"type": ["null", "string"], "format": "date"},
    "at": {"type": ["null", "string"], "format": "date-time"},
    'odd "name",\u2028': {"type": ["null", "string"]},
}

DIGITS = st.from_regex(r"[+-]?[0-9]{1,25}", fullmatch=True)
HOSTILE = st.text(
    st.sampled_from("a\0\r\n\"',;|\t \ufeff\u2028\u2029\x85\x1f\x7f😀é=#\\/"), max_size=8
)
INTEGERS = st.sampled_from(
    ["0", "-0", "+5", "007", "-007", "1e3", "12.0", "1E400", "9007199254740993", "1_000", "0x1F",
     "-9223372036854775809", " 5", "5 ", "--5", "5-", "\u0665", "9" * 99, "9" * 101, "9" * 1001,
     "9" * 1002, "1e1001", "216.54", "-", "+", ".", "7.000", "+10.", "-0.0", ".0", "1.5E3", "12E99",
     "1.0e2", "1.5.0", "++5", "1E-1", "1_0.0", "1E3.0", " 5.0"]
)  # fmt: skip
NUMBERS = st.sampled_from(
    ["0", "-0", "-0.0", "1.50", ".5", "5.", "00.5", "1e5", "1E-7", "0.0000001", "1e-9999",
     "1e99999", "+1.5", "++1", "1E3", "1.467983905E7", "-1.467983905E7", "1.4679839E7", "1.0E8",
     "1.12345678E8", "0.123456789E7", "1.-2345678E7", "1.12345678E77",
     "-1.50e+3", "NaN", "inf", "-Infinity", "1,5", "1.2.3",
     "123456789012345678901234567890.123456789012345678"]
)  # fmt: skip
FLAGS = st.sampled_from(["true", "TRUE", "False", "1", "0", "yes", "NO", "t", "2", "null"])
DAYS = st.sampled_from(
    ["2026-01-31", "2024-02-29", "2023-02-29", "2000-02-29", "1900-02-29", "2026-02-30",
     "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2026-1-1", "2026-01-01T00:00:00Z",
     "20260101", "2026-01-01 00:00", "2026-01-01T00:00:00.000001Z", "2026-04-31",
     "01/02/2026", "2026-13-01", "2026-01-01T00:00:00.0000009Z", "2026-01-01 00:00:00 Z",
     "2026-01-01T00:00+2300", "2026-01-01T00:00:00-24:00", "2026-01-01T00:01"]
)  # fmt: skip
TIMESTAMPS = st.sampled_from(
    ["2026-01-01T10:20:30Z", "2026-01-01T10:20:30.5Z", "2026-01-01T10:20:30.123456Z",
     "2026-01-01T10:20:30.000000Z", "2026-01-01T10:20:30.1234567Z", "2026-01-01 10:20",
     "2026-01-01", "2026-01-01T10:20:30+02:00", "2026-01-01T10:20:30-0530", "2026-01-01T10:20:30 Z",
     "2026-01-01T10:20:30,25Z", "2026-01-01T24:00:00Z", "2026-01-01T10:60:00Z",
     "2026-01-01T10:20:60Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00",
     "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2026-01-01t10:20:30z", "yesterday",
     "0000-01-01T00:00:00Z", "2026-01-01T10:20:30 +02:00", "2026-01-01T10:20+23:59",
     "2026-01-01T10:20+24:00", "2026-01-01T10:20+05:75", "2026-01-01T10:20:30 ", "2026-01-01Z",
     "2026-01-01 10:20:30.999999999 Z", "2026-01-01T10:20:30.Z", "2026-01-01T10:20:30+02",
     "2026-01-01T10:20:30.12+02", "2026-01-01T10:20:30.123-24:00", "2026-02-30T10:20:30.120Z"]
)  # fmt: skip
GOOD = {
    "text": HOSTILE | st.text(max_size=5),
    "count": DIGITS,
    "amount": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "flag": st.sampled_from(["true", "false", "True", "0"]),
    "day": st.dates().map(str),
    "at": st.datetimes().map(lambda timestamp: timestamp.isoformat() + "Z"),
    'odd "name",\u2028': HOSTILE,
}
ODD = {
    "text": st.just("NULL") | st.just("x" * 3000),
    "count": INTEGERS,
    "amount": NUMBERS | DIGITS,
    "flag": FLAGS,
    "day": DAYS,
    "at": TIMESTAMPS,
    'odd "name",\u2028': st.just(""),
}


def any_row(names: list[str], *, odd: bool) -> st.SearchStrategy[tuple[str, ...]]:
    cells = [GOOD[name] | st.just("") | (ODD[name] if odd else st.nothing()) for name in names]
    return st.tuples(*cells)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A CSV file: written by rule, then perhaps spoiled."""
    names = draw(st.permutations(list(PROPERTIES)))
    rows = draw(
        st.lists(any_row(names, odd=draw(st.sampled_from([False, False, True]))), max_size=12)
    )
    extra = draw(st.sampled_from([[], [], [], [], [], [], ["unasked"], ["text"], ["x", "x"]]))
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        lineterminator=draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerow([*names, *extra])
    writer.writerows([*row, *("\u00e9" for _ in extra)] for row in rows)
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.getvalue().encode()
    if draw(st.booleans()):
        data = data.rstrip(b"\r\n")
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        # Where a character means something.
        marks = [at for at, byte in enumerate(data) if byte in b'",\r\n'] or [0]
        at = draw(st.sampled_from(marks)) + draw(st.integers(0, 2))
        cut = draw(st.sampled_from([0, 0, 1, 2]))
        junk = draw(st.sampled_from(
            [b"", b'"', b",", b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"x", b'"x', b'x"', b'""',
             b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b" "]
        ))  # fmt: skip
        data = data[:at] + junk + data[at + cut :]
    return data


Outcome = tuple[list[Any], StreamError | None, PartReader]


def part_reader(properties: dict[str, dict[str, Any]], block_bytes: int) -> PartReader:
    reader = PartReader("oddities", "job-1", properties, LOG)
    if block_bytes * MAX_BLOCKS_A_ROW < MAX_ROW_BYTES:  # as that of the tap
        reader.max_row_bytes = MAX_ROW_BYTES
    return reader


def plainly(line: str | bytes) -> Any:  # noqa: ANN401
    """The values of a line, all of their digits told apart."""
    return json.loads(line, parse_float=lambda text: repr(Decimal(text)), parse_int=repr_of_int)


def repr_of_int(text: str) -> str:
    # A number without fraction reads as an integer from both paths; the SDK writes -0 as it is.
    return repr(Decimal(text))


def slowly(properties: dict[str, dict[str, Any]], block_bytes: int, *parts: bytes) -> Outcome:
    reader, records = part_reader(properties, block_bytes), []
    try:
        for number, data in enumerate(parts, 1):
            for record in reader.records(io.BytesIO(data), number):
                records.append(plainly(serialize_json(record)))  # noqa: PERF401 - kept if it fails
    except StreamError as error:
        return records, error, reader
    return records, None, reader


def quickly(properties: dict[str, dict[str, Any]], block_bytes: int, *parts: bytes) -> Outcome:
    reader = part_reader(properties, block_bytes)
    columns = [Column.from_schema(*item) for item in properties.items()]
    encoder = record_messages("oddities", columns, None)
    blocks = BlockReader(columns, encoder, block_bytes=block_bytes)
    records: list[Any] = []
    try:
        for number, data in enumerate(parts, 1):
            for item in blocks.read(reader, io.BytesIO(data), number):
                if isinstance(item, dict):
                    records.append(plainly(serialize_json(item)))
                else:
                    assert item.rows == len(item)
                    records += [plainly(line)["record"] for line in item.encoded.to_pylist()]
    except StreamError as error:
        return records, error, reader
    return records, None, reader


def compare(properties: dict[str, dict[str, Any]], block_bytes: int, *parts: bytes) -> None:
    slow_records, slow_error, slow = slowly(properties, block_bytes, *parts)
    records, error, fast = quickly(properties, block_bytes, *parts)
    if any(word in f"{slow_error} {error}" for word in ("UTF-8", "gzip")):
        # Bytes are read by the piece: how far the rows before them get depends on the pieces.
        common = min(len(records), len(slow_records))
        assert records[:common] == slow_records[:common]
        assert error is not None
        assert slow_error is not None
        return
    assert records == slow_records
    assert str(error) == str(slow_error)
    assert type(error) is type(slow_error)
    assert fast.empty_parts == slow.empty_parts
    if error is None:
        assert (fast.nul_bytes, fast.plain_bytes) == (slow.nul_bytes, slow.plain_bytes)


TRAPS = [
    b'"ab"c,1\n',
    b'"a""b"c,1\n',
    b'"a,"b,1\n',
    b'a"b,1\na""b,2\n"x\n,1\n",3\n',
    b'a"b,1\n"c\nd",2\ne,3\nf,4\n',
    b'"a\nb"",1\n',
    b'"a\xff",1\n',
    b"a\xed\xa0\x80,1\n",
    b"a,1\n\nb,2\n",
    b"a,1\r\n\r\n",
    b"a,1\r\r\n",
    b"\xef\xbb\xbfa,1\n",
    b"a,1\r\0\n",
    b"a,1\n\0",
    b"\0,1\n\0\n",
    b",\n,\n",
    b"a,1,2\n",
    b"a\n",
    b"a, 1\n",
    b'a,"1"\n',
    b'"",""\n',
    b"a,1",
    b"a\rb,1\n",
    b"a," + b"1" * 990 + b"\n",
    b"\xc3\xa9" * 990 + b",1\n",
    b'"a\n' + b'b\nc","1\n' * 90 + b'"\n',
    b"a,1\n\n\n",
    b"a,1\n\r\n\r",
    b"a,1" + b"\n" * 200,
    b"a,1\n" + b"\n" * 200 + b"b,2\n",
    b'"",\n\n',
    b'"' + b"a\n" * 3000,
    b'"' + b"a" * 5000,
    b'"' + b"\xc3\xa9" * 2500 + b'",1\n',
    b'5" pipe,1\n' + b"a,1\n" * 2000 + b'b",2\n' + b"c,3\n" * 9,
    b"a,1\r" * 900,
    b"a,1\r\n" * 900,
    b"\xef\xbb\xbfa,1\nb,2\n",
]


@pytest.mark.parametrize("rows", TRAPS, ids=lambda rows: repr(rows[:20]))
@pytest.mark.parametrize("block_bytes", [15, 2**20])
def test_both_paths_say_the_same_of_what_engines_differ_in(rows: bytes, block_bytes: int) -> None:
    some = {name: PROPERTIES[name] for name in ("text", "count")}
    compare(some, block_bytes, b"text,count\n" + rows)
    compare(some, block_bytes, b"text,count\nx,0\n" + rows + b"y,0\n")
    compare(some, block_bytes, b"text,count\nx,0\n", rows)


SPELLINGS: dict[str, list[tuple[str, ...]]] = {
    "count": [
        ("7.0", "-120.0", "0.0"), ("7.0", "-120.00", "0.", "900719925474099301.0"),
        ("1E3", "-12e2", "10E0", "1.0E+2"),
        ("+7", "+120", "+0", "+9"), ("007", "-0", "0120", "00"), ("1.5e1", "20e-1", "0E5", "-.0"),
    ],
    "amount": [
        ("1.0", "10.0", "0.10", "-3.00"), ("1E3", "2.50E+06", "-1e-7", "0E-9"),
        ("+1.5", ".5", "5.", "007.50"),
        ("1.467983905E7", "1.46798390E7", "1.4679839E7", "1.0E7", "1.234567890123E9"),
        ("1.467983905E7", "9.123456789E8", "-1.467983905E7", "1.0E-7", "10.0", "1.123456789E10"),
    ],
    "flag": [
        ("TRUE", "FALSE"), ("True", "False"), ("yes", "no"), ("1", "0"), ("Yes", "tRUE", "0", "NO"),
    ],
    "day": [("2024-02-29T00:00:00Z", "2026-01-31 00:00"), ("2026-01-31T00:00:00.000+02:00",)],
    "at": [
        ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.120Z"),
        ("2026-01-02T03:04:05.000000+00:00", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T03:04:05.000Z", "2024-02-29 03:04:05.000Z"),
        ("2026-01-02T03:04:05.120Z", "2026-01-02T03:04:05.999Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.000001Z"),
        ("2026-01-02T03:04:05.123456", "2026-01-02T03:04:05.000000", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.12Z", "2026-01-02T03:04:05.12345Z"),
        ("2026-01-02T03:04:05+0200", "2024-02-29T00:04:05-0530"),
        ("2026-01-02 03:04:05.123456+02:00", "2026-01-02 03:04:05+02:00"),
        ("2026-01-02 03:04:05", "2026-01-02 03:04:05.123456", "2026-01-02 03:04", "2026-01-02"),
        ("2026-01-02T03:04:05.1234567", "2026-01-02T03:04:05.0000000", "2026-01-02"),
        ("2026-01-02 03:04:05 Z", "2026-01-02T03:04:05,250Z", "2026-01-02T03:04:05.123456789Z"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05", "2026-01-02", "2026-01-02T03:04Z"),
    ],
}  # fmt: skip
"""Cells in other spellings than the canonical one, by column; each tuple is one writer's."""


def test_cells_in_other_spellings_are_equal_in_blocks() -> None:
    canonical = {"count": "12", "amount": "1.5", "flag": "true", "day": "2026-01-31",
                 "at": "2026-01-02T03:04:05Z"}  # fmt: skip
    for name, writers in SPELLINGS.items():
        some = {name: PROPERTIES[name], "text": PROPERTIES["text"]}
        for cells in [*writers, tuple(chain.from_iterable(writers))]:
            for others, is_quoted in ((["", canonical[name]], False), ([], True)):
                text = io.StringIO(newline="")
                writer = csv.writer(
                    text,
                    quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL,
                    lineterminator="\n" if is_quoted else "\r\n",
                )
                writer.writerows([[name, "text"], *([cell, "x"] for cell in (*cells, *others))])
                compare_texts(some, text.getvalue().encode())


def compare_texts(properties: dict[str, dict[str, Any]], data: bytes) -> None:
    """Compare the texts of numbers, too, and check that no record takes the slow path."""
    slow = PartReader("oddities", "job-1", properties, LOG)
    columns = [Column.from_schema(*item) for item in properties.items()]
    blocks = BlockReader(columns, record_messages("oddities", columns, None))
    found: list[bytes] = []
    for item in blocks.read(PartReader("oddities", "job-1", properties, LOG), io.BytesIO(data), 1):
        assert not isinstance(item, dict)
        found += item.encoded.to_pylist()
    made = [line.split(b'"record":')[1].split(b',"time_extracted"')[0] for line in found]
    assert made == [serialize_json(record).encode() for record in slow.records(io.BytesIO(data), 1)]


@examples(300)
@given(
    cells=st.lists(
        st.lists(st.text('aé",\n\r', max_size=4), min_size=2, max_size=2), min_size=1, max_size=6
    ),
    odd=st.lists(
        st.tuples(
            st.integers(0, 99), st.sampled_from(['"', '""', "x", ",", "\n", "\r", '"x', 'x"'])
        ),
        max_size=2,
    ),
)
def test_both_paths_say_the_same_of_rows_whose_cells_are_all_quoted(
    cells: list[list[str]], odd: list[tuple[int, str]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(cells)
    rows = text.getvalue()
    for place, junk in odd:
        at = place % len(rows)
        rows = rows[:at] + junk + rows[at:]
    some = {name: PROPERTIES[name] for name in ("text", 'odd "name",\u2028')}
    compare(some, 2**20, b'text,"odd ""name"",\xe2\x80\xa8"\n' + rows.encode())


BLOCK_BYTES = st.sampled_from([60, 200, 1000, 2**20])


@examples(150)
@given(data=files(), block_bytes=BLOCK_BYTES)
def test_both_paths_say_the_same(data: bytes, block_bytes: int) -> None:
    compare(PROPERTIES, block_bytes, data)


@examples(50)
@given(data=files(), block_bytes=BLOCK_BYTES, cut=st.integers(-100, 100))
def test_both_paths_say_the_same_of_packed_files(data: bytes, block_bytes: int, cut: int) -> None:
    packed = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    compare(PROPERTIES, block_bytes, packed[: len(packed) - max(cut, 0)])


def test_both_paths_say_the_same_of_packed_bytes_that_are_damaged() -> None:
    # What reading it again for the line's number raises is damage, too.
    damaged = bytes.fromhex("1f8b0800fb18086b04ffca34e4e5323432861200821e12ac0e000000")
    compare({"i1": {"type": ["null", "integer"]}}, 5, damaged)


@examples(200)
@given(
    cells=st.lists(st.sampled_from(["", "1", "x", '""', '"a\nb"', "\0"]), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    block_bytes=BLOCK_BYTES,
)
def test_both_paths_say_the_same_of_one_column(
    cells: list[str], end: str, block_bytes: int
) -> None:
    data = "".join(cell + end for cell in ["text", *cells]).encode()
    compare({"text": PROPERTIES["text"]}, block_bytes, data)


@examples(50)
@given(data=files(), block_bytes=BLOCK_BYTES, names=st.sets(st.sampled_from(list(PROPERTIES))))
def test_both_paths_say_the_same_of_some_columns(
    data: bytes, block_bytes: int, names: set[str]
) -> None:
    some = {name: schema for name, schema in PROPERTIES.items() if name in names}
    compare(some or {"text": PROPERTIES["text"]}, block_bytes, data)


@examples(80)
@given(first=files(), later=files(), has_header=st.booleans(), block_bytes=BLOCK_BYTES)
def test_both_paths_say_the_same_of_later_parts(
    first: bytes,
    later: bytes,
    has_header: bool,  # noqa: FBT001
    block_bytes: int,
) -> None:
    if not has_header:
        later = b"".join(later.splitlines(keepends=True)[1:])
    compare(PROPERTIES, block_bytes, first, later, b"")


@pytest.mark.parametrize(
    "row",
    [b'"' + b"a\n" * 3000, b'"' + b"a" * 9000, b"a" * 9000 + b",1\n", b'"' + b"\r\n" * 2500],
)
def test_a_row_that_is_too_long_is_an_error_with_its_line(row: bytes) -> None:
    some = {name: PROPERTIES[name] for name in ("text", "count")}
    data = b'text,count\n"a\nb",1\n' + row
    for records, error, _ in (slowly(some, 60, data), quickly(some, 60, data)):
        assert len(records) == 1
        assert "Part 1 of the export job job-1 of stream oddities, line 4, begins a row" in str(
            error
        )
        assert isinstance(error, FileFormatError)


def test_a_row_of_the_greatest_length_is_read() -> None:
    some = {"text": PROPERTIES["text"]}
    row = b"a" * (MAX_ROW_BYTES - 1) + b"\n"
    for end in (b"", b"b"):
        data = b"text\n" + end + row
        for records, error, _ in (slowly(some, 60, data), quickly(some, 60, data)):
            assert (len(records), error is None) == ((0, False) if end else (1, True))
