"""Rows in files of BATCH messages, compared with RECORD messages."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import pytest
from pyarrow import parquet

from demandbase_api.errors import ConfigurationError
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import BatchStorageError, RecordCountError
from tap_demandbase.tap import TapDemandbase
from tests.batch_files import batch_records
from tests.tap.conftest import Wire, both_apis

pytestmark = pytest.mark.thorough

Config = dict[str, Any]
Sync = Callable[..., Any]

FIELDS = [("id", "string"), ("count", "integer"), ("amount", "number"), ("flag", "boolean"),
          ("day", "date"), ("at", "datetime"), ("text", "string")]  # fmt: skip
ROWS: list[list[str | None]] = [
    ["1", "9007199254740993", "1.50", "true", "2026-01-31", "2026-01-01T10:20:30.000001Z", "é\n,"],
    ["2", None, None, None, None, None, None],
    ["3", "-0", "-2", "FALSE", "2024-02-29", "2026-01-01 10:20", 'a "b"'],
]
MICROSECOND = datetime(2026, 1, 1, 10, 20, 30, 1, UTC)
EXPECTED = [
    ("1", 2**53 + 1, 1.5, True, date(2026, 1, 31), MICROSECOND, "é\n,"),
    ("2", None, None, None, None, None, None),
    ("3", 0, -2.0, False, date(2024, 2, 29), datetime(2026, 1, 1, 10, 20, tzinfo=UTC), 'a "b"'),
]  # fmt: skip


def batches_to(root: object, file_format: str = "jsonl", **more: Any) -> Config:  # noqa: ANN401
    storage = {"root": str(root), "prefix": "new-"}
    encoding = {"format": file_format}
    if "compression" in more:
        encoding["compression"] = more.pop("compression")
    return {"batch_config": {"encoding": encoding, "storage": storage, **more}}


def batches(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == "BATCH"]


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record with its numbers as Python's JSON reads them."""
    return {n: float(v) if isinstance(v, Decimal) else v for n, v in record.items()}


def path_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def rows_in(messages: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    paths = [path_of(url) for message in batches(messages) for url in message["manifest"]]
    tables = [parquet.read_table(path) for path in paths]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def without_jobs(state: dict[str, Any]) -> dict[str, Any]:
    return {name: {**its, "last_job": None} for name, its in state.items()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for nothing but the files."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@both_apis
@pytest.mark.parametrize("compression", [None, "gzip", "none"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_hold_the_records_and_the_target_reads_them(
    sync: Sync, out: Path, compression: str | None, size: int
) -> None:
    records = sync("accounts").records("accounts")
    more = {} if compression is None else {"compression": compression}
    output = sync("accounts", **batches_to(out, batch_size=size, **more))
    assert not output.records("accounts")
    messages = batches(output.messages)
    assert {message["stream"] for message in messages} == {"accounts"}
    read = [batch_records(message) for message in messages]
    assert {len(each) for each in read[:-1]} <= {size}
    assert [plain(record) for each in read for record in each] == records
    packed = compression != "none"
    assert {message["encoding"].get("compression") for message in messages} == {
        "gzip" if packed else None
    }
    for path in (path_of(url) for message in messages for url in message["manifest"]):
        assert path.name.startswith("new-tap-demandbase--accounts-")
        text = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        assert all(json.loads(line) for line in text.splitlines())


@both_apis
def test_parquet_has_the_types_of_the_schema(sandbox: Sandbox, sync: Sync, out: Path) -> None:
    sandbox.add_entity("people", FIELDS, ROWS)
    messages = sync("people", **batches_to(out, "parquet")).messages
    assert rows_in(messages) == EXPECTED
    [message] = batches(messages)
    assert message["encoding"] == {"format": "parquet"}


@both_apis
@pytest.mark.parametrize(("compression", "codec"), [("gzip", "GZIP"), ("none", "UNCOMPRESSED")])
def test_parquet_takes_the_codec_that_is_set(
    sync: Sync, out: Path, compression: str, codec: str
) -> None:
    sync("accounts", **batches_to(out, "parquet", compression=compression))
    [path] = out.iterdir()
    assert parquet.ParquetFile(path).metadata.row_group(0).column(0).compression == codec


@both_apis
@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_only_selected_fields_are_in_the_files(
    sandbox: Sandbox, sync: Sync, out: Path, file_format: str
) -> None:
    sandbox.add_entity("people", FIELDS, ROWS)
    messages = sync("people", fields=["id", "text"], **batches_to(out, file_format)).messages
    if file_format == "parquet":
        assert rows_in(messages) == [(row[0], row[-1]) for row in EXPECTED]
    else:
        [message] = batches(messages)
        assert [tuple(record) for record in batch_records(message)] == [("id", "text")] * 3


@both_apis
@pytest.mark.parametrize(
    ("name", "text"),
    [("count", "9223372036854775808"), ("amount", "0.1000000000000000055"), ("amount", "1e400")],
)
def test_what_parquet_cannot_hold_is_sent_as_records(
    sandbox: Sandbox, sync: Sync, out: Path, name: str, text: str
) -> None:
    at = [field for field, _ in FIELDS].index(name)
    odd = ["4", *([None] * 6)]
    odd[at] = text
    sandbox.add_entity("people", FIELDS, [*ROWS, odd])
    output = sync("people", **batches_to(out, "parquet"))
    [record] = [each for each in output.records("people") if each["id"] == "4"]
    assert record[name] == json.loads(text if name == "count" else str(Decimal(text)))
    in_files = [row[0] for row in rows_in(output.messages)]
    assert sorted([*in_files, *(each["id"] for each in output.records("people"))]) == list("1234")


@both_apis
@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_incremental_runs_send_the_same_rows_and_the_same_state(
    sync: Sync, out: Path, file_format: str
) -> None:
    own = {"activities": {"replication_key": "activity_at"}}
    given = {"start_date": "2025-12-05", "end_date": "2025-12-29", "window_days": 7,
             "stream_options": own}  # fmt: skip
    one = sync("activities", **given)
    other = sync("activities", **given, **batches_to(out, file_format))
    ids = [record["activity_id"] for record in one.records("activities")]
    assert ids
    if file_format == "parquet":
        paths = [path_of(url) for each in batches(other.messages) for url in each["manifest"]]
        found = [parquet.read_table(path, columns=["activity_id"])[0].to_pylist() for path in paths]
        assert [cell for cells in found for cell in cells] == ids
    else:
        read = [record for message in batches(other.messages) for record in batch_records(message)]
        assert [record["activity_id"] for record in read] == ids
    assert without_jobs(other.state) == without_jobs(one.state)
    # No state says more than what has been announced.
    kinds = [message["type"] for message in other.messages]
    windows = len({str(each.get("activities", {}).get("next_window")) for each in other.states})
    assert windows > 2
    assert kinds.index("BATCH") < kinds.index("STATE")


def test_a_wrong_count_ends_the_run_before_its_last_file(
    sandbox: Sandbox, sync: Sync, out: Path
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how="drop_last_row"))
    output = sync("accounts", failure=RecordCountError, **batches_to(out))
    assert not batches(output.messages)
    assert not list(out.iterdir())


@both_apis
@pytest.mark.parametrize(
    "more",
    [
        {"stream_maps": {"accounts": {"name": "md5(account_id)"}}},
        {"flattening_enabled": True, "flattening_max_depth": 1},
    ],
)
def test_what_needs_each_record_gets_it_as_a_message(sync: Sync, out: Path, more: Config) -> None:
    output = sync("accounts", **more, **batches_to(out))
    assert output.records("accounts") == sync("accounts", **more).records("accounts")
    assert not batches(output.messages)


@both_apis
def test_streams_about_jobs_send_records(sync: Sync, out: Path) -> None:
    output = sync("accounts", "export_jobs", **batches_to(out))
    assert output.records("export_jobs")
    assert {message["stream"] for message in batches(output.messages)} == {"accounts"}


@both_apis
def test_a_root_may_be_an_address(sync: Sync, out: Path) -> None:
    messages = sync("accounts", **batches_to((out / "b c").as_uri())).messages
    [message] = batches(messages)
    assert len(batch_records(message)) == 200


@both_apis
def test_a_folder_that_cannot_be_written_is_named(sync: Sync, out: Path) -> None:
    (out / "file").touch()
    with pytest.raises(ConfigurationError, match=r"batch_config\.storage\.root \(Not a direct"):
        sync("accounts", **batches_to(out / "file" / "below"))


@both_apis
def test_a_folder_that_takes_no_file_is_named_before_a_job_is_created(
    sandbox: Sandbox, sync: Sync, wire: Wire, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dir: Path | str, **options: Any) -> object:  # noqa: A002, ANN401
        if Path(dir) == out:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), dir)
        return temporary_file(dir=dir, **options)

    temporary_file = tempfile.TemporaryFile
    # Permissions do not bind the superuser, who may run the tests.
    monkeypatch.setattr("tap_demandbase.config.tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigurationError, match=r"batch_config\.storage\.root \(Permission"):
        sync("accounts", **batches_to(out), spool_dir=str(out / "spool"))
    assert not sandbox.requests(wire.create)


@both_apis
def test_an_address_that_nothing_knows_is_named(sync: Sync) -> None:
    with pytest.raises(ConfigurationError, match=r"at batch_config\.storage\.root") as error:
        sync("accounts", **batches_to("nowhere://secret/folder"))
    assert "secret" not in str(error.value)


@both_apis
@pytest.mark.parametrize(
    "wrong", [{}, {"storage": {}}, {"storage": {"root": "/x"}, "encoding": {"format": "csv"}}]
)
def test_a_setting_that_is_not_whole_is_named(config: Config, wrong: Config) -> None:
    with pytest.raises(ConfigurationError, match="the setting batch_config"):
        TapDemandbase(config={**config, "batch_config": wrong})


@both_apis
@pytest.mark.parametrize("ending", [OSError(errno.ENOSPC, "No space left"), SystemExit(143)])
def test_no_file_has_its_name_before_it_is_complete(
    sync: Sync, out: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    """The folder is on another file system than temporary files, and its disk gets full."""
    names: list[list[str]] = []
    rename = os.rename

    def copy(source: BinaryIO, target: BinaryIO, *_: int) -> None:
        target.write(source.read(100))
        target.flush()
        names.append([path.name for path in out.iterdir() if path.suffix == ".gz"])
        if Path(str(target.name)).parent == out:
            raise ending
        target.write(source.read())

    def move(source: str, target: str, **_: int) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    monkeypatch.setattr(shutil, "_USE_CP_SENDFILE", False)
    monkeypatch.setattr(os, "rename", move)
    failure = BatchStorageError if isinstance(ending, OSError) else SystemExit
    output = sync("accounts", failure=failure, **batches_to(out))
    assert not batches(output.messages)
    assert names
    assert not any(names)
    assert not list(out.iterdir())
