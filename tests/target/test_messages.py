"""What the command does with messages and settings that it cannot use: one sentence, no value."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import run_command

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
    return load_lines(sandbox, folder, *map(json.dumps, messages), **settings)


def load_lines(
    sandbox: Sandbox, folder: Path, *lines: str, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run the command over some lines."""
    config = folder / "config.json"
    spool = str(folder / "spool")
    members = {"api_url": sandbox.url, "access_token": sandbox.token, "spool_dir": spool,
               "rejects_path": str(folder / "rejects")}  # fmt: skip
    config.write_text(json.dumps({**members, **settings}))
    text = "".join(line + "\n" for line in lines)
    return run_command("target-demandbase", "--config", str(config), text=text)


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
        b'"domain","scored_at","renewal_date"\n"a.example","2026-01-02T03:04:05Z","2026-01-02"\n'
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
            "File 1 of a BATCH message of stream accounts",
        ),
        ({**SCHEMA, "schema": {"properties": None}}, "a schema whose properties are no object"),
        (
            {**SCHEMA, "schema": {"properties": {"domain": True}}},
            "a schema whose property domain is no object",
        ),
        ({**SCHEMA, "key_properties": "domain"}, "has key_properties that are no array of names"),
        ({**SCHEMA, "key_properties": [1]}, "has key_properties that are no array of names"),
        (record(notes={"Ada Secret": 5}), "notes breaks the schema's rule “type string”"),
        (record(scored_at="Ada Secret"), "the value of scored_at cannot be written to CSV"),
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


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1" * 5000, "Line 2 of the input holds a number of too many digits"),
        ("[" * 100_000, "too many arrays in each other"),
        ("1e5000", "the value of notes cannot be written"),
        ('["Secret", NaN]', "the value of notes cannot be written"),
        ('["Secret", 1e5000]', "the value of notes cannot be written"),
    ],
    ids=lambda text: text[:12],
)
def test_a_number_without_a_text_ends_in_one_sentence(
    sandbox: Sandbox, tmp_path: Path, cell: str, said: str
) -> None:
    schema = {"properties": {"domain": {"type": NULLABLE}, "notes": {}}}
    line = json.dumps(record(notes="CELL")).replace('"CELL"', cell)
    done = load_lines(sandbox, tmp_path, json.dumps({**SCHEMA, "schema": schema}), line)
    assert said in last_words(done, sandbox)
    assert "Unexpected" not in done.stderr


def test_an_empty_line_is_passed_over(sandbox: Sandbox, tmp_path: Path) -> None:
    lines = [json.dumps(SCHEMA), "", json.dumps(record()), " ", "{"]
    done = load_lines(sandbox, tmp_path, *lines)
    assert "Line 5 of the input is no JSON" in last_words(done, sandbox)
    assert load_lines(sandbox, tmp_path, *lines[:-1]).returncode == 0
    assert len(sandbox.import_jobs()) == 1


def test_a_property_that_the_schema_lacks_is_named_once(sandbox: Sandbox, tmp_path: Path) -> None:
    rows = [record(nmae="Ada Secret", _sdc_x=1), record(nmae="Eve Secret")]
    done = load(sandbox, tmp_path, SCHEMA, *rows)
    assert done.returncode == 0
    assert done.stderr.count("have a property nmae that their schema lacks") == 1
    assert "_sdc_x" not in done.stderr
    assert "Secret" not in done.stderr


def test_columns_of_field_mappings_that_no_stream_has_are_named(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    mappings = {"accounts": {"nmae": "name"}}
    done = load(sandbox, tmp_path, SCHEMA, field_mappings=mappings)
    assert done.returncode == 0
    assert "field_mappings.accounts names columns that stream accounts does not have: nmae" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_token": 12345678901}, "the setting access_token must be of the type string"),
        ({"access_token": ["Secret"]}, "the setting access_token must be of the type string"),
        ({"access_token": {"a": "Secret"}}, "the setting access_token must be of the type string"),
        ({"access_token": "Secret Secret"}, "The setting access_token holds a blank"),
        ({"api_url": "http://u:Secret@h:99999"}, "The setting api_url is no web address"),
        ({"api_url": "Secret"}, "the setting api_url must match the pattern"),
        ({"operation": "Secret"}, "the setting operation must be one of insert or "),
        (
            {"match_keys": {"accounts": 5}, "batch_size_rows": 0},
            "match_keys.accounts must be of the type string; the setting batch_size_rows must be",
        ),
        ({"entity_map": {"a": "acounts"}}, "entity_map.a names acounts"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    sandbox: Sandbox, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    done = load(sandbox, tmp_path, SCHEMA, **settings)
    assert said in last_words(done, sandbox)
    assert "12345678901" not in done.stderr
    assert "Traceback" not in done.stderr


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


def test_the_quota_ends_the_run_as_one_that_may_work_later(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.STATUS, status=429))
    done = load(sandbox, tmp_path, SCHEMA, record(), STATE)
    assert done.returncode == 75
    assert "The quota is daily: run again tomorrow." in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_state_of_before_a_failing_batch_is_kept_and_that_of_after_it_is_not(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    later = {"type": "STATE", "value": {"bookmarks": {"accounts": 2}}}
    messages = [SCHEMA, record(), STATE, record(name="x"), record(domain=None), later]
    done = load(sandbox, tmp_path, *messages, batch_size_rows=1)
    assert done.returncode == 1
    assert '{"accounts": 2}' not in done.stdout
    assert "1 of 1 rows of stream accounts were rejected" in done.stderr.splitlines()[-1]
    landed = [job["success_count"] for job in sandbox.import_jobs()]
    assert landed == [1, 1]


def test_a_wrong_token_fails_at_the_schema_and_is_not_shown(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    wrong = "mistyped-Secret-token"
    done = load(sandbox, tmp_path, SCHEMA, access_token=wrong)
    assert "did not accept the access token" in last_words(done, sandbox)
    assert [seen.status for seen in sandbox.requests()] == [401]
