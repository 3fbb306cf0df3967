"""Files that are not as requested: without a header, without rows, with blank lines."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.csv_reader import PartReader
from tap_demandbase.errors import CellError, FileFormatError
from tests.tap.conftest import Sync, both_apis

pytestmark = pytest.mark.thorough

FIELDS = [("id", "string"), ("count", "integer")]
HEADER = "id,count\r\n"


@pytest.fixture(scope="module")
def parted() -> Iterator[Sandbox]:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, part_rows=2, results_urls=True
    )
    with Sandbox(options) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(parted: Sandbox) -> Sandbox:
    """A sandbox whose files have two rows each; one row of ``people`` is of no interest."""
    parted.reset()
    return parted


def export(
    sandbox: Sandbox, rows: int, *parts: str, has_count: bool = False, **members: int
) -> None:
    """Let the next job of ``people`` have some rows and these parts and members."""
    sandbox.add_entity("people", FIELDS, [[str(number), str(number)] for number in range(rows)])
    for body in parts:
        sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=200, body=body))
    nulls = ("file_size_bytes",) if has_count else ("file_size_bytes", "record_count")
    sandbox.add_fault(
        Fault("listExportJobs", Effect.ALTER, items={}, nulls=nulls, members=members, times=None)
    )


def pipeline(name: str) -> dict[str, Any]:
    return {"flattening_enabled": True, "flattening_max_depth": 1} if name == "records" else {}


PIPELINES = pytest.mark.parametrize("by", ["messages", "records"])


@both_apis
@PIPELINES
def test_a_later_part_without_a_header_is_read(sandbox: Sandbox, sync: Sync, by: str) -> None:
    export(sandbox, 6, f"{HEADER}a,1\r\n", "b,2\r\nc,3\r\n", f"{HEADER}d,4\r\n")
    records = sync("people", **pipeline(by)).records("people")
    assert [(each["id"], each["count"]) for each in records] == [
        ("a", 1), ("b", 2), ("c", 3), ("d", 4),
    ]  # fmt: skip


@both_apis
@pytest.mark.parametrize("later", ["b,x\r\n", "b,2,3\r\n", "ID,COUNT\r\n", "id,total\r\n", "\r\n"])
def test_a_later_part_that_does_not_fit_the_columns_fails(
    sandbox: Sandbox, sync: Sync, later: str
) -> None:
    export(sandbox, 4, f"{HEADER}a,1\r\n", later)
    output = sync("people", failure=FileFormatError)
    assert [record["id"] for record in output.records("people")] == ["a"]


@both_apis
@pytest.mark.parametrize("part", ["a,1\r\n", "\r\n", "\ufeff", "<html></html>"])
def test_a_first_part_without_a_header_fails(sandbox: Sandbox, sync: Sync, part: str) -> None:
    export(sandbox, 1, part)
    assert not sync("people", failure=FileFormatError).records("people")


@both_apis
def test_an_empty_part_of_several_fails(sandbox: Sandbox, sync: Sync) -> None:
    export(sandbox, 4, f"{HEADER}a,1\r\n", "", "")
    sync("people", failure=FileFormatError)


@pytest.mark.parametrize("parts", [0, -1])
def test_a_job_without_files_is_empty_only_if_its_count_says_so(
    sandbox: Sandbox, sync: Sync, parts: int
) -> None:
    export(sandbox, 0, has_count=True, file_parts=parts)
    assert not sync("people").records("people")
    sandbox.clear_faults()
    export(sandbox, 0, file_parts=parts)
    sync("people", failure=FileFormatError)


@both_apis
@PIPELINES
def test_blank_lines_at_the_end_are_no_rows(sandbox: Sandbox, sync: Sync, by: str) -> None:
    export(sandbox, 3, f"{HEADER}a,1\r\nb,2\r\n\r\n\r\n", f"{HEADER}c,3\n\n", has_count=True)
    records = sync("people", **pipeline(by)).records("people")
    assert [record["id"] for record in records] == ["a", "b", "c"]


@both_apis
@PIPELINES
def test_a_blank_line_between_rows_fails(sandbox: Sandbox, sync: Sync, by: str) -> None:
    export(sandbox, 2, f"{HEADER}a,1\r\n\r\nb,2\r\n", has_count=True)
    sync("people", failure=FileFormatError, **pipeline(by))


def reader(**properties: str) -> PartReader:
    schemas: dict[str, dict[str, Any]] = {
        name: {"type": ["null", kind]} for name, kind in properties.items()
    }
    return PartReader("people", "job-1", schemas, logging.getLogger("test"))


def read(part_reader: PartReader, *parts: bytes) -> list[dict[str, Any]]:
    return [
        record
        for number, data in enumerate(parts, 1)
        for record in part_reader.records(io.BytesIO(data), number)
    ]


def test_in_a_file_of_one_column_a_blank_line_is_a_null_and_two_cells_are_an_error() -> None:
    assert read(reader(id="string"), b"id\na\n\n") == [{"id": "a"}, {"id": None}]
    with pytest.raises(FileFormatError, match="line 3, has 2 cells where the header has 1"):
        read(reader(id="string"), b"id\na\nb,c\n")


@pytest.mark.parametrize(
    ("cell", "is_number"), [(b"216.54", True), (b"1e-3", True), (b"n/a", False)]
)
def test_only_a_number_can_be_read_as_a_number(cell: bytes, is_number: bool) -> None:  # noqa: FBT001
    with pytest.raises(CellError, match="is no integer") as caught:
        read(reader(count="integer"), b"count\n" + cell + b"\n")
    assert ("lenient_numbers" in str(caught.value)) == is_number
    assert ("Set the property's type" in str(caught.value)) != is_number
    assert cell.decode() not in str(caught.value)


@pytest.mark.parametrize("column", ["ID", " id", "i d"])
def test_a_column_that_differs_in_case_or_blanks_is_named(column: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read(reader(id="string", name="string"), f"{column},name\n".encode())
    assert f"{column!r} instead of 'id'" in str(caught.value)
    assert "discovery" not in str(caught.value)
    with pytest.raises(FileFormatError, match=r"lacks the selected columns id\. Run discovery"):
        read(reader(id="string", name="string"), b"secret,name\n")


def test_columns_that_were_not_requested_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    assert len(read(reader(id="string"), b"id,x\na,\n", b"id,x\nb,\n")) == 2
    [warning] = caplog.records
    assert "columns that were not requested; they are ignored: x" in warning.getMessage()
