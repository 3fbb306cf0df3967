"""BATCH messages: their files are read like records."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from demandbase_sandbox import Sandbox
from target_demandbase.errors import (
    InputError,
)
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import files

pytestmark = pytest.mark.thorough


def parquet_of(rows: list[dict[str, Any]], **options: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file, **options)
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("declared", [{}, {"compression": "none"}, {"compression": "gzip"}])
def test_batch_messages_are_like_records(
    sandbox: Sandbox, load: Load, tmp_path: Path, declared: dict[str, str], *, packed: bool
) -> None:
    rows = [person(n % 3, title=None if n == 1 else f"T{n}") for n in range(5)]
    rows += [person(3), person(9, person_id=None)]
    load(people(), *rows, on_reject="continue")
    by_record = files(sandbox)
    sandbox.reset()
    path = tmp_path / "batch.jsonl"
    text = "".join(json.dumps(row["record"]) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    encoding = {"format": "jsonl", **declared}
    message = {"type": "BATCH", "stream": "people", "encoding": encoding,
               "manifest": [path.as_uri()]}  # fmt: skip
    done = load(people(), message, on_reject="continue", batch_size_rows=100)
    assert files(sandbox) == by_record
    assert len(done.rejects) == 1


def test_a_rejected_row_of_a_parquet_file_is_kept_as_a_record(
    sandbox: Sandbox, load: Load, tmp_path: Path
) -> None:
    rows = [person(n)["record"] for n in range(40)]
    rows[7]["person_id"] = rows[23]["person_id"] = None
    path = tmp_path / "batch.parquet"
    path.write_bytes(parquet_of(rows, row_group_size=16))
    done = load(people(), batch(path, format="parquet"), state(1), on_reject="continue")
    assert [{name: row[name] for name in rows[7]} for row in done.rejects] == [rows[7], rows[23]]
    assert (len(landed(sandbox)), done.states) == (38, [1])


def batch(path: Path, **encoding: str) -> dict[str, Any]:
    return {"type": "BATCH", "stream": "people", "encoding": encoding, "manifest": [path.as_uri()]}


LONG_LINE = gzip.compress(b'{"person_id": "' + b"Secret " * (10 << 20), 1)
CUT_GZIP = gzip.compress(b"{}\n" * 99, mtime=0)[:-9]
PARQUET = parquet_of([{"person_id": f"Secret {n}" * 9} for n in range(2000)], row_group_size=1000)
CHANGED = PARQUET[:9000] + b"\xff" * 99 + PARQUET[9099:]
TWICE = io.BytesIO()
parquet.write_table(pa.table([pa.array(["Secret"])] * 2, ["name", "name"]), TWICE)


@pytest.mark.parametrize(
    ("encoding", "content", "says"),
    [
        ({"format": "csv"}, b"", "neither parquet, nor jsonl"),
        ({"format": "parquet"}, b"", r"File 1 .* people cannot be read: it is empty\."),
        ({"format": "parquet"}, b"{}\n" * 9, "it is no Parquet file, which begins with PAR1"),
        ({"format": "parquet"}, PARQUET[:-500], "it is cut off"),
        ({"format": "parquet"}, PARQUET[:7], "it is cut off"),
        ({"format": "parquet"}, CHANGED, "it is broken, .* after row 0"),
        ({"format": "parquet"}, gzip.compress(PARQUET), "a Parquet file inside gzip"),
        ({"format": "parquet"}, b"PARE" + PARQUET[4:-4] + b"PARE", "it is encrypted"),
        ({"format": "parquet"}, TWICE.getvalue(), "it has two columns named name"),
        ({"format": "jsonl"}, b'{"person_id":"n1"},"record":{}\n', "line 1, is no JSON object"),
        ({"format": "jsonl"}, b'\n{"a":' + b"9" * 5000 + b"}\n", "line 2, contains a number of"),
        ({"format": "jsonl", "compression": "zstd"}, b"", "neither parquet"),
        ({"format": "jsonl", "level": "9"}, b"", "no valid encoding or manifest"),
        ({"format": "jsonl"}, b'{"person_id": "n1"}\nSecret', "line 2, is no JSON object"),
        ({"format": "jsonl"}, LONG_LINE, r"line 1, is longer than 64 MiB\."),
        (
            {"format": "jsonl", "compression": "gzip"},
            CUT_GZIP,
            "cannot be",
        ),
    ],
)
def test_a_batch_message_that_cannot_be_read_is_named(
    load: Load, tmp_path: Path, encoding: dict[str, str], content: bytes, says: str
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    message = {"type": "BATCH", "stream": "people", "encoding": encoding,
               "manifest": [path.as_uri()]}  # fmt: skip
    with pytest.raises(InputError, match=says) as caught:
        load(people(), message)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (["http://127.0.0.1:9/f"], "File 1 .* is neither a local file nor at s3://"),
        (["simplecache::file:///etc/hosts"], "neither a local file"),
        (["s3://bucket/f", "memory://f"], "File 2 .* neither a local file"),
        (["/data/a::http://127.0.0.1:9/f"], "neither a local file"),
        (["data:,x"], "neither a local file"),
        (["s3://bucket/f"], r"is at s3://, which needs .* pip install 'singer-sdk\[s3\]'\.$"),
        ("file:///etc/hosts", "no valid encoding or manifest"),
        ([7], "no valid encoding or manifest"),
    ],
)
def test_only_local_files_and_documented_storage_are_read(
    sandbox: Sandbox, load: Load, manifest: object, says: str
) -> None:
    message = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"},
               "manifest": manifest}  # fmt: skip
    with pytest.raises(InputError, match=says):
        load(people(), message)
    assert not sandbox.import_jobs()


@pytest.mark.parametrize("name", ["a b ä%20#?.jsonl", "plain.jsonl"])
@pytest.mark.parametrize(
    "form", ["{uri}", "file://{path}", "FILE://localhost{path}", "{path}", "{name}"]
)
def test_files_are_read_by_url_and_by_path(
    sandbox: Sandbox,
    load: Load,
    tmp_path: Path,
    name: str,
    form: str,
) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(person(1)["record"]) + "\n", encoding="utf-8")
    file = form.format(uri=path.as_uri(), path=path, name=name)
    message = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"},
               "manifest": [file]}  # fmt: skip
    load(people(), message)
    assert list(landed(sandbox)) == ["1"]


@pytest.mark.parametrize("file", ["", "missing/file", "file:///missing/a%20b", "/\0"])
def test_a_missing_file_is_named_and_what_came_before_lands(
    sandbox: Sandbox, load: Load, tmp_path: Path, file: str
) -> None:
    message = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"},
               "manifest": [file]}  # fmt: skip
    done = load(people(), person(1), state(1), message, failure=InputError)
    assert (done.states, list(landed(sandbox))) == ([1], ["1"])
    assert not (tmp_path / "missing").exists()
