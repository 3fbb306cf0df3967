"""Rows of one key land in the order in which they came, whatever their columns are."""

from __future__ import annotations

import io
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import SpoolError
from demandbase_sandbox import Sandbox
from target_demandbase.column_groups import ColumnGroups
from target_demandbase.staging import StagedFile
from target_demandbase.target import TargetDemandbase

NULLABLE = {"type": ["string", "null"]}
COLUMNS = ("name", "segment", "notes", "industry", "country", "website")
KEY = "company1.example"


def schema(*columns: str) -> dict[str, Any]:
    properties = dict.fromkeys(("domain", *columns), NULLABLE)
    return {
        "type": "SCHEMA",
        "stream": "accounts",
        "schema": {"type": "object", "properties": properties},
        "key_properties": ["domain"],
    }


def record(domain: str, **cells: str) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "accounts", "record": {"domain": domain, **cells}}


def load(sandbox: Sandbox, *messages: dict[str, Any], **settings: Any) -> None:  # noqa: ANN401
    config = {"api_url": sandbox.url, "access_token": sandbox.token, **settings}
    text = "".join(json.dumps(message) + "\n" for message in messages)
    TargetDemandbase(config=config).listen(io.StringIO(text))


def landed(sandbox: Sandbox) -> dict[str, str | None]:
    return next(row for row in sandbox.rows("accounts") if row["domain"] == KEY)


def rows_sent(sandbox: Sandbox) -> list[int]:
    return [job["total_rows"] for job in reversed(sandbox.import_jobs())]


def test_the_last_row_of_a_key_wins_across_column_sets(sandbox: Sandbox) -> None:
    load(
        sandbox,
        schema("name", "segment"),
        record(KEY, segment="one"),
        record(KEY, segment="two", name="N"),
        record(KEY, segment="three"),
    )
    row = landed(sandbox)
    assert (row["segment"], row["name"]) == ("three", "N")
    assert rows_sent(sandbox) == [1, 1, 1]


def test_a_key_in_other_capitals_counts_as_the_same(sandbox: Sandbox) -> None:
    load(
        sandbox,
        schema("name", "segment"),
        record("x.example", segment="one"),
        record("X.example ", segment="two", name="N"),
        record("x.example", segment="three"),
    )
    assert rows_sent(sandbox) == [1, 1, 1]


def test_rows_of_different_keys_still_share_jobs(sandbox: Sandbox) -> None:
    rows = [record(f"n{n}.example", **({"name": "N"} if n % 2 else {})) for n in range(20)]
    load(sandbox, schema("name"), *rows)
    assert rows_sent(sandbox) == [10, 10]


def test_rows_of_before_a_schema_change_are_sent_before_those_after_it(sandbox: Sandbox) -> None:
    load(
        sandbox,
        schema("segment"),
        record(KEY, segment="old"),
        schema("segment", "name"),
        *(record(KEY, segment=f"new{n}", name="N") for n in range(3)),
        batch_size_rows=2,
    )
    assert landed(sandbox)["segment"] == "new2"
    assert rows_sent(sandbox) == [1, 1, 1]


def test_open_column_sets_are_bounded(tmp_path: Path) -> None:
    groups = ColumnGroups(tmp_path, 1000, max_groups=3)
    for number in range(3):
        assert groups.takes((str(number),), 10, [str(number)])
        groups.add((str(number),), b'"x"\n', b"{}\n", [str(number)])
    assert not groups.takes(("3",), 10, ["3"])
    assert groups.takes(("0",), 10, ["4"])
    groups.close()


def test_too_many_open_files_are_not_a_full_disk(tmp_path: Path) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SpoolError, match="ulimit -n") as caught:
            StagedFile(tmp_path, ("domain",))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "room" not in str(caught.value)


def test_rows_of_one_key_keep_their_order_across_streams_of_one_entity(sandbox: Sandbox) -> None:
    other = {**schema("segment"), "stream": "scores"}
    load(
        sandbox,
        schema("segment"),
        other,
        record(KEY, segment="one"),
        {**record(KEY, segment="two"), "stream": "scores"},
        record(KEY, segment="three"),
        record("x.example", segment="x"),
        entity_map={"scores": "accounts"},
    )
    assert landed(sandbox)["segment"] == "three"
    assert rows_sent(sandbox) == [1, 1, 2]


def test_other_keys_of_two_streams_of_one_entity_share_a_job_each(sandbox: Sandbox) -> None:
    rows = [
        {**record(f"n{n}.example", segment="s"), "stream": "scores" if n % 2 else "accounts"}
        for n in range(8)
    ]
    scores = {**schema("segment"), "stream": "scores"}
    load(sandbox, schema("segment"), scores, *rows, entity_map={"scores": "accounts"})
    assert rows_sent(sandbox) == [4, 4]
