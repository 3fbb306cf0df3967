"""BATCH messages: their files are read like records."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from target_demandbase.errors import (
    InputError,
)
from tests.target.conftest import Load, record, schema
from tests.target.sent_files import files


@pytest.mark.parametrize("packed", [False, True])
def test_batch_messages_are_like_records(
    sandbox: Sandbox, load: Load, tmp_path: Path, *, packed: bool
) -> None:
    rows: list[dict[str, Any]] = [
        {"domain": "a.example", "name": "1", "engagement_score": 1.10},
        {"domain": "b.example", "name": None},
        {"domain": "c.example"},
        {"domain": None},
        {"domain": "a.example", "name": "2", "engagement_score": 2},
    ]
    load(schema(), *(record(**row) for row in rows), on_reject="continue")
    by_record = files(sandbox)
    sandbox.reset()
    path = tmp_path / "batch.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    encoding = {"format": "jsonl", **({"compression": "gzip"} if packed else {})}
    message = {"type": "BATCH", "stream": "accounts", "encoding": encoding,
               "manifest": [path.as_uri()]}  # fmt: skip
    done = load(schema(), message, on_reject="continue", batch_size_rows=100)
    assert files(sandbox) == by_record
    assert len(done.rejects) == 1


CUT_GZIP = gzip.compress(b"{}\n" * 99, mtime=0)[:-9]


@pytest.mark.parametrize(
    ("encoding", "content", "says"),
    [
        ({"format": "parquet"}, b"", "neither jsonl"),
        ({"format": "jsonl"}, b'{"domain": "a.example"}\nSecret', "line 2, is no JSON object"),
        (
            {"format": "jsonl", "compression": "gzip"},
            gzip.compress(b"{}\n" * 99, mtime=0)[:-9],
            "cannot be",
        ),
    ],
)
def test_a_batch_message_that_cannot_be_read_is_named(
    load: Load, tmp_path: Path, encoding: dict[str, str], content: bytes, says: str
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    message = {"type": "BATCH", "stream": "accounts", "encoding": encoding,
               "manifest": [path.as_uri()]}  # fmt: skip
    with pytest.raises(InputError, match=says) as caught:
        load(schema(), message)
    assert "Secret" not in str(caught.value)
