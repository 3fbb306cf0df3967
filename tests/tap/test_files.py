"""Files of exports: hostile text, packed parts, sizes, what is on the disk and when."""

from __future__ import annotations

import gzip
import io
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from demandbase_api.errors import SpoolError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.arrow.batch_files import BatchFiles, JsonLines
from tap_demandbase.arrow.values import Column
from tap_demandbase.config import batch_config
from tap_demandbase.csv_reader import PartReader
from tap_demandbase.errors import FileFormatError, FileSizeError
from tap_demandbase.spool import Spool
from tap_demandbase.tap import TapDemandbase
from tests.examples import examples

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]

TEXT = {"id": {"type": "string"}, "text": {"type": "string"}}
LONG = st.text(max_size=3).map(lambda text: text * 70_000)
SHORT = st.text(st.sampled_from("a\0\r\n\"',;|\t \ufeff\u2028\x85😀é=#\\"), max_size=12)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(SHORT | st.text(max_size=30) | LONG, min_size=1, max_size=8))
def test_any_text_is_unchanged_but_for_nul_bytes(
    sandbox: Sandbox, sync: Sync, cells: list[str]
) -> None:
    rows: list[list[str | None]] = [[str(number), text] for number, text in enumerate(cells)]
    sandbox.add_entity("oddities", [("id", "string"), ("text", "string")], rows)
    records = sync("oddities").records("oddities")
    assert [record["text"] for record in records] == [
        text.replace("\0", "") or None for text in cells
    ]


def test_nul_bytes_are_counted(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[list[str | None]] = [["1", "a\0b\0"], ["2", "c"]]
    sandbox.add_entity("oddities", [("id", "string"), ("text", "string")], rows)
    assert [r["text"] for r in sync("oddities").records("oddities")] == ["ab", "c"]
    assert "2 NUL bytes were removed" in caplog.text


@pytest.fixture(scope="module")
def packed() -> Iterator[Sandbox]:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, gzip=True)
    with Sandbox(options) as sandbox:
        yield sandbox


def test_packed_parts_are_read(packed: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"api_url": packed.url, "access_token": packed.token, "entities": ["activities"]}
    TapDemandbase(config=config).sync_all()
    assert capsys.readouterr().out.count('"type":"RECORD"') == 2000


def reader() -> PartReader:
    return PartReader("oddities", "job-1", TEXT, logging.getLogger("test"))


CSV = b"id,text\r\n" + b"".join(b"%d,%d\r\n" % (n, n * n) for n in range(5000))


def test_a_packed_part_may_have_several_members() -> None:
    members = b"".join(gzip.compress(CSV[at : at + 1000]) for at in range(0, len(CSV), 1000))
    part = reader()
    assert len(list(part.records(io.BytesIO(members), 1))) == 5000
    assert part.plain_bytes == len(CSV)


@pytest.mark.parametrize("cut", [11, 100, -9, -8, -1])
def test_a_packed_part_that_is_cut_fails(cut: int) -> None:
    whole = gzip.compress(CSV)
    with pytest.raises(FileFormatError, match="Part 1") as caught:
        list(reader().records(io.BytesIO(whole[:cut]), 1))
    assert "gzip" in str(caught.value)


def test_a_packed_part_whose_last_member_is_cut_fails() -> None:
    two = gzip.compress(CSV) + gzip.compress(b"9999,x\r\n")[:-3]
    with pytest.raises(FileFormatError, match="gzip"):
        list(reader().records(io.BytesIO(two), 1))


@pytest.mark.parametrize("shift", [-1, 1])
def test_files_of_another_size_than_the_server_says_fail(
    sandbox: Sandbox, sync: Sync, shift: int
) -> None:
    members = {"file_size_bytes": shift}
    sandbox.add_fault(Fault("listExportJobs", Effect.SHIFT, members=members, times=None))
    output = sync("campaigns", failure=FileSizeError)
    # The last part is checked before it is read.
    assert output.records("campaigns") == []


def downloads(sandbox: Sandbox) -> int:
    return len(sandbox.requests("downloadExportFile"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_only_the_next_part_is_downloaded_while_one_is_read(
    sandbox: Sandbox, config: dict[str, Any]
) -> None:
    tap = TapDemandbase(config={**config, "entities": ["activities"], "job_reuse_hours": 0})
    stream = tap.streams["activities"]
    stream.selected = True
    asked: set[tuple[int, int]] = set()
    for rows, _ in enumerate(stream.get_records(None)):
        reading = rows // sandbox.options.part_rows + 1
        if not rows % sandbox.options.part_rows:
            until(partial(lambda wanted: downloads(sandbox) >= wanted, min(reading + 1, 4)))
        asked.add((reading, downloads(sandbox)))
    tap.exporter.close()
    assert asked == {(1, 2), (2, 3), (3, 4), (4, 4)}


def test_the_next_streams_first_part_is_downloaded_while_the_last_one_is_read(
    sandbox: Sandbox, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_demandbase.exporter.POLL_ROWS", 1)
    entities = ["accounts", "campaigns"]
    tap = TapDemandbase(config={**config, "entities": entities, "job_reuse_hours": 0})
    for name in entities:
        tap.streams[name].selected = True
        tap.streams[name].plan()  # type: ignore[attr-defined]
    records = iter(tap.streams["accounts"].get_records(None))
    # The other job is created and polled in the background while rows are read.
    until(lambda: next(records) is not None and len(sandbox.requests("signedFile")) == 2)
    tap.exporter.close()


def test_a_job_whose_files_are_damaged_is_not_reused_by_the_next_run(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how="ragged_row"))
    first = sync("campaigns", job_reuse_hours=6, failure=FileFormatError)
    second = sync("campaigns", job_reuse_hours=6, state={"bookmarks": first.state})
    assert len(second.records("campaigns")) == 20


def test_a_part_without_space_is_rejected_before_the_disk_is_full(tmp_path: Any) -> None:  # noqa: ANN401
    spool = Spool(tmp_path)
    spool.check_space(1000)
    with pytest.raises(SpoolError, match=r"MB free.*needs 1,000,000,000 MB.*spool_dir"):
        spool.check_space(10**15)


class LargeFile(io.BytesIO):
    """One that the system takes a while to let go of."""

    def close(self) -> None:
        time.sleep(0.2)
        super().close()


def test_room_that_is_being_given_back_is_waited_for(tmp_path: Path) -> None:
    file, spool = LargeFile(), Spool(tmp_path)
    spool.close(file)
    assert not file.closed  # the caller goes on
    with pytest.raises(SpoolError):
        spool.check_space(10**15)
    assert file.closed


def test_batch_files_wait_for_the_room_of_a_part(tmp_path: Path) -> None:
    config = batch_config({"batch_config": {"storage": {"root": tmp_path.as_uri()}}})
    assert config is not None
    file, spool = LargeFile(), Spool(tmp_path)
    files = BatchFiles(
        "rows", config, JsonLines([Column.from_schema("id", TEXT["id"])], None), spool
    )
    spool.close(file)
    assert [rows for rows, _ in files.write([{"id": "1"}])] == [1]
    assert file.closed
