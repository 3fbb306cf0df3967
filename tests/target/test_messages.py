"""What the command does with messages and settings that it cannot use: one sentence, no value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox

NULLABLE = ["string", "null"]
SCHEMA = {
    "type": "SCHEMA",
    "stream": "accounts",
    "schema": {
        "type": "object",
        "properties": {
            "domain": {"type": NULLABLE},
            "name": {"type": NULLABLE},
            "notes": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
            "scored_at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
            "renewal_date": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        },
    },
    "key_properties": ["domain"],
}
STATE = {"type": "STATE", "value": {"bookmarks": {"accounts": 1}}}


def record(**cells: object) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "accounts", "record": {"domain": "a.example", **cells}}


def load(
    sandbox: Sandbox, folder: Path, *messages: object, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run the command over some messages."""
    config = folder / "config.json"
    spool = str(folder / "spool")
    members = {"api_url": sandbox.url, "access_token": sandbox.token, "spool_dir": spool}
    config.write_text(json.dumps({**members, **settings}))
    return subprocess.run(
        [str(Path(sys.executable).with_name("target-demandbase")), "--config", str(config)],
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        check=False,
    )


def last_words(done: subprocess.CompletedProcess[str], sandbox: Sandbox) -> str:
    """Return a failure's one sentence, having looked that nothing else was shown."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Secret" not in done.stderr
    assert sandbox.token not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert "CRITICAL" in sentence
    return sentence


def test_a_run_that_works_ends_with_zero_and_the_state(sandbox: Sandbox, tmp_path: Path) -> None:
    cells = {"scored_at": "2026-01-02T05:04:05+02:00", "renewal_date": "2026-01-02"}
    done = load(sandbox, tmp_path, SCHEMA, record(**cells), STATE)
    assert (done.returncode, done.stdout) == (0, '{"bookmarks": {"accounts": 1}}\n')
    [job] = sandbox.import_jobs()
    assert sandbox.uploaded(job["id"]) == (
        b"domain,scored_at,renewal_date\r\na.example,2026-01-02T03:04:05Z,2026-01-02\r\n"
    )
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({**record(), "record": None}, "Line 2 of the input has a record of the wrong type"),
        ({**record(), "record": ["Ada Secret"]}, "Line 2 of the input has a record of the wrong"),
        ({**record(), "record": "Ada Secret"}, "Line 2 of the input has a record of the wrong"),
        ({**record(), "type": ["Secret"]}, "Line 2 of the input has a type of the wrong type"),
        ({**SCHEMA, "schema": "Secret"}, "Line 2 of the input has a schema of the wrong type"),
        (
            {**SCHEMA, "schema": {"properties": {"domain": {"type": "Secret"}}}},
            "The schema of stream accounts is no valid JSON schema",
        ),
        (
            {**SCHEMA, "type": "BATCH", "encoding": {"format": "jsonl"}, "manifest": ["Secret"]},
            "takes RECORD messages only",
        ),
        (record(notes={"Ada Secret": 5}), "notes breaks the schema's rule “type string”"),
        (record(scored_at="Ada Secret"), "the value of scored_at cannot be written"),
        (record(name="Secret \ud800"), "the value of name cannot be written"),
    ],
    ids=str,
)
def test_a_message_that_cannot_be_sent_ends_in_one_sentence_without_its_value(
    sandbox: Sandbox, tmp_path: Path, message: dict[str, Any], said: str
) -> None:
    done = load(sandbox, tmp_path, SCHEMA, message, STATE)
    assert said in last_words(done, sandbox)
    assert not sandbox.import_jobs()


def test_a_mapping_expression_that_fails_does_not_show_the_value(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    maps = {"accounts": {"name": "int(name)"}}
    done = load(sandbox, tmp_path, SCHEMA, record(name="Ada Secret"), STATE, stream_maps=maps)
    sentence = last_words(done, sandbox)
    assert "Unexpected ValueError at " in sentence
    assert "stream_maps" in sentence
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("createImportJob", Effect.JOB_FAILS, message='row 1 holds "Ada Secret"'),
            "accounts failed: row 1 holds ***",
        ),
        (
            Fault("createImportJob", Effect.JOB_FAILS, message="value Ada Secret of column name"),
            "accounts failed: value *** of column name.",
        ),
        (
            Fault("uploadImportFile", Effect.STATUS, status=400, body='{"error": "Ada Secret"}'),
            "(HTTP 400): its words are left out, since they may quote a record.",
        ),
        (Fault("uploadImportFile", Effect.DROP_AFTER), "broke the connection when asked to take"),
        (Fault("createImportJob", Effect.STATUS, status=429), "said that the quota is used up"),
        (Fault("createImportJob", Effect.STATUS, status=403), "refused permission"),
    ],
    ids=lambda value: value.effect if isinstance(value, Fault) else "",
)
def test_a_failure_of_the_server_ends_in_one_sentence_and_no_state(
    sandbox: Sandbox, tmp_path: Path, fault: Fault, said: str
) -> None:
    sandbox.add_fault(fault)
    done = load(sandbox, tmp_path, SCHEMA, record(name="Ada Secret"), STATE)
    assert said in last_words(done, sandbox)
    assert "Traceback" not in done.stderr
    assert len(sandbox.requests(fault.operation)) == 1
    assert list((tmp_path / "spool").iterdir()) == []


def test_state_of_before_a_failing_batch_is_kept_and_that_of_after_it_is_not(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    later = {"type": "STATE", "value": {"bookmarks": {"accounts": 2}}}
    messages = [SCHEMA, record(), STATE, record(name="x"), record(domain=None), later]
    done = load(sandbox, tmp_path, *messages, batch_size_rows=1)
    assert done.returncode == 1
    assert '{"accounts": 2}' not in done.stdout
    assert "rejected 1 of 1 rows" in done.stderr.splitlines()[-1]
    landed = [job["success_count"] for job in sandbox.import_jobs()]
    assert landed == [0, 1, 1]


def test_a_wrong_token_fails_at_the_schema_and_is_not_shown(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    wrong = "mistyped-Secret-token"
    done = load(sandbox, tmp_path, SCHEMA, access_token=wrong)
    assert "did not accept the access token" in last_words(done, sandbox)
    assert [seen.status for seen in sandbox.requests()] == [401]
