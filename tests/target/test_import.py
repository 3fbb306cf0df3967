from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import (
    InputError,
    MappingError,
    RejectedRowsError,
    RoutingError,
)
from target_demandbase.target import TargetDemandbase
from tests.command_process import run_command

PROPERTIES = {
    "domain": {"type": ["string", "null"]},
    "name": {"type": ["string", "null"]},
    "engagement_score": {"type": ["number", "null"]},
    "is_target": {"type": ["boolean", "null"]},
    "scored_at": {"type": ["string", "null"], "format": "date-time"},
    "_sdc_batched_at": {"type": ["string", "null"], "format": "date-time"},
}
NASTY = 'quoted "twice", comma\r\nnext line 😀 =1+1'

Run = Callable[..., str]


def lines(records: list[dict[str, Any]], stream: str = "accounts", **members: Any) -> str:  # noqa: ANN401
    schema = {"type": "object", "properties": PROPERTIES}
    head = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": ["domain"]}
    messages = [
        {**head, **members},
        *({"type": "RECORD", "stream": stream, "record": record} for record in records),
        {"type": "STATE", "value": {"bookmarks": {stream: len(records)}}},
    ]
    return "".join(json.dumps(message) + "\n" for message in messages)


@pytest.fixture
def run(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the target over some lines; returns what it wrote to standard output."""

    def load(text: str, **settings: Any) -> str:  # noqa: ANN401
        config = {
            "api_url": sandbox.url,
            "access_token": sandbox.token,
            "spool_dir": str(tmp_path / "spool"),
            "rejects_path": str(tmp_path / "rejects"),
            **settings,
        }
        TargetDemandbase(config=config).listen(io.StringIO(text))
        assert list((tmp_path / "spool").iterdir()) == []
        return capsys.readouterr().out

    return load


def uploaded(sandbox: Sandbox) -> list[list[list[str]]]:
    """Return the rows of each uploaded file, the oldest first."""
    files = [sandbox.uploaded(job["id"]).decode() for job in reversed(sandbox.import_jobs())]
    return [list(csv.reader(io.StringIO(file, newline=""), strict=True)) for file in files]


def test_rows_land_as_they_were_sent_and_state_follows(sandbox: Sandbox, run: Run) -> None:
    record = {
        "domain": "company1.example",
        "name": NASTY,
        "engagement_score": 1e-7,
        "is_target": True,
        "scored_at": "2026-01-02 05:04:05+02:00",
        "_sdc_batched_at": "2026-01-01T00:00:00Z",
    }
    assert run(lines([record])) == '{"bookmarks": {"accounts": 1}}\n'
    assert uploaded(sandbox) == [
        [
            ["domain", "name", "engagement_score", "is_target", "scored_at"],
            ["company1.example", NASTY, "0.0000001", "true", "2026-01-02T03:04:05Z"],
        ]
    ]
    row = next(r for r in sandbox.rows("accounts") if r["domain"] == "company1.example")
    assert (row["name"], row["is_target"]) == (NASTY, "true")
    [create] = sandbox.requests("createImportJob")
    assert (create.body["operation"], create.body["match_key"]) == ("upsert", "domain")


def test_an_absent_property_is_not_sent_as_a_blank(sandbox: Sandbox, run: Run) -> None:
    before = {row["domain"]: row["name"] for row in sandbox.rows("accounts")}
    run(lines([{"domain": "company1.example", "name": None}, {"domain": "company2.example"}]))
    after = {row["domain"]: row["name"] for row in sandbox.rows("accounts")}
    assert after["company1.example"] is None
    assert after["company2.example"] == before["company2.example"]
    assert [file[0] for file in uploaded(sandbox)] == [["domain", "name"], ["domain"]]


def test_batches_are_cut_by_rows(sandbox: Sandbox, run: Run) -> None:
    records = [{"domain": f"n{n}.example", "name": str(n)} for n in range(25)]
    run(lines(records), batch_size_rows=10)
    assert [len(file) - 1 for file in uploaded(sandbox)] == [10, 10, 5]
    assert [row[0] for file in uploaded(sandbox) for row in file[1:]] == [
        record["domain"] for record in records
    ]


def test_batches_are_cut_by_encoded_bytes(sandbox: Sandbox, run: Run) -> None:
    run(
        lines([{"domain": f"n{n}.example", "name": "ü" * 100} for n in range(20)]),
        max_file_bytes=1024,
    )
    sizes = [job["file_size_bytes"] for job in sandbox.import_jobs()]
    assert max(sizes) <= 1024
    assert sum(job["total_rows"] for job in sandbox.import_jobs()) == 20
    assert len(sizes) == 5


def test_a_rejected_row_fails_the_run_with_a_digest_and_no_state(
    sandbox: Sandbox, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[dict[str, Any]] = [
        {"domain": "a.example", "name": "good"},
        {"domain": None, "name": "Ada Secret"},
        {"domain": None, "name": "Eve Secret"},
    ]
    with pytest.raises(RejectedRowsError) as caught:
        run(lines(records))
    sentence = str(caught.value)
    assert "2 of 3 rows of stream accounts were rejected" in sentence
    assert "the match key domain is null or missing: 2 (rows 2, 3)" in sentence
    assert "Secret" not in sentence
    assert capsys.readouterr().out == ""
    assert any(row["domain"] == "a.example" for row in sandbox.rows("accounts"))


def test_a_failed_job_ends_in_its_words_without_values(sandbox: Sandbox, run: Run) -> None:
    fault = Fault("createImportJob", Effect.JOB_FAILS, message='row 3 holds "Ada Secret"')
    sandbox.add_fault(fault)
    with pytest.raises(JobFailedError, match=r"accounts failed: row 3 holds \*\*\*"):
        run(lines([{"domain": "a.example"}]))


def test_a_stream_without_a_place_fails_before_any_record(sandbox: Sandbox, run: Run) -> None:
    with pytest.raises(RoutingError, match="entity_map"):
        run(lines([{"domain": "a.example"}], stream="scores"))
    assert not sandbox.requests("createImportJob")
    run(lines([{"domain": "a.example"}], stream="scores"), entity_map={"scores": "accounts"})
    assert sandbox.import_jobs()[0]["entity_type"] == "accounts"


def test_a_match_key_that_no_column_fills_is_refused(sandbox: Sandbox, run: Run) -> None:
    with pytest.raises(MappingError, match="no column fills the match key account_id"):
        run(lines([]), match_keys={"accounts": "account_id"})
    assert not sandbox.requests("createImportJob")


def test_columns_are_renamed_on_the_wire(sandbox: Sandbox, run: Run) -> None:
    run(
        lines([{"domain": "a.example", "name": "seg"}]),
        field_mappings={"accounts": {"name": "segment"}},
    )
    row = next(r for r in sandbox.rows("accounts") if r["domain"] == "a.example")
    assert (row["segment"], row["name"]) == ("seg", None)


def test_a_line_that_is_no_json_is_not_shown(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError, match="Line 2") as caught:
        run(lines([]).splitlines()[0] + '\n{"type": "RECORD", "record": "Ada Secret')
    assert "Secret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        '{"stream": "accounts", "record": {"name": "Ada Secret"}}',
        '{"type": "RECORD", "record": {"name": "Ada Secret"}}',
        '{"type": "RECORDS", "record": {"name": "Ada Secret"}}',
        '["Ada Secret"]',
    ],
)
def test_a_line_that_is_no_singer_message_is_not_shown(
    run: Run, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError, match="Line 2") as caught:
        run(lines([]).splitlines()[0] + "\n" + line)
    assert "Secret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        {"domain": "a.example", "engagement_score": "Ada Secret"},
        {"domain": "a.example", "scored_at": "Ada Secret"},
    ],
)
def test_a_record_that_does_not_fit_ends_in_one_sentence_without_its_value(
    sandbox: Sandbox, tmp_path: Path, record: dict[str, Any]
) -> None:
    config = tmp_path / "config.json"
    rejects = str(tmp_path / "rejects")
    members = {"api_url": sandbox.url, "access_token": sandbox.token, "rejects_path": rejects}
    config.write_text(json.dumps(members))
    done = run_command("target-demandbase", "--config", str(config), text=lines([record]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Secret" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "CRITICAL" in last
    assert "scored_at" in last or "engagement_score" in last


def test_a_record_before_its_schema_ends_in_one_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    rejects = str(tmp_path / "rejects")
    members = {"api_url": sandbox.url, "access_token": sandbox.token, "rejects_path": rejects}
    config.write_text(json.dumps(members))
    message = '{"type": "RECORD", "stream": "accounts", "record": {"domain": "x"}}\n'
    done = run_command("target-demandbase", "--config", str(config), text=message)
    assert done.returncode == 1
    assert "before a corresponding schema" in done.stderr.splitlines()[-1]
