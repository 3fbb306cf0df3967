"""What the command does with messages and settings that it cannot use: one sentence, no value."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import run_command
from tests.target.conftest import people, person
from tests.target.people_files import CREATE, LIST, UPLOAD, files, rows_sent

pytestmark = pytest.mark.thorough

NULLABLE = ["string", "null"]
COLUMNS = {
    **{name: {"type": NULLABLE} for name in ("person_id", "email", "first_name", "last_name")},
    "phone": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "title": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    "last_contacted_on": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    "lead_score": {"type": ["integer", "null"]},
}
SCHEMA = people(COLUMNS)
STATE = {"type": "STATE", "value": {"bookmarks": {"people": 1}}}

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(config: dict[str, Any], tmp_path: Path) -> Command:
    """Runs the command over some messages, or lines of text; ``end`` stands behind the last."""

    def run(
        *messages: object,
        end: str = "",
        **settings: object,
    ) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "config.json"
        own = {"spool_dir": str(tmp_path / "spool"), "rejects_path": str(tmp_path / "rejects")}
        file.write_text(json.dumps({**config, **own, **settings}))
        lines = [each if isinstance(each, str) else json.dumps(each) for each in messages]
        text = "".join(line + "\n" for line in lines) + end
        return run_command("target-demandbase", "--config", str(file), text=text)

    return run


def last_words(done: subprocess.CompletedProcess[str], sandbox: Sandbox) -> str:
    """Return a failure's one sentence, having looked that nothing else was shown."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Secret" not in done.stderr
    assert sandbox.token not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert "CRITICAL" in sentence
    return sentence


def test_a_run_that_works_ends_with_zero_and_the_state(
    sandbox: Sandbox, command: Command, tmp_path: Path
) -> None:
    cells = {"title": "2026-01-02T05:04:05+02:00", "last_contacted_on": "2026-01-02"}
    done = command(SCHEMA, person(1, **cells), STATE)
    assert (done.returncode, done.stdout) == (0, '{"bookmarks": {"people": 1}}\n')
    sent = {**person(1)["record"], **cells, "title": "2026-01-02T03:04:05Z"}
    assert files(sandbox) == [[sent]]
    assert not list(tmp_path.glob("spool/*/*"))


def test_a_mark_of_the_byte_order_alone_at_the_end_is_no_message(
    sandbox: Sandbox, command: Command
) -> None:
    done = command(SCHEMA, *map(person, range(20)), end="\ufeff")
    assert (done.returncode, rows_sent(sandbox)) == (0, [20])


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({**person(1), "record": None}, "Line 2 of the input has a record of the wrong type"),
        ({**person(1), "record": ["Ada Secret"]}, "Line 2 of the input has a record of the wrong"),
        ({**person(1), "record": "Ada Secret"}, "Line 2 of the input has a record of the wrong"),
        ({**person(1), "type": ["Secret"]}, "Line 2 of the input has a type of the wrong type"),
        ({**SCHEMA, "schema": "Secret"}, "Line 2 of the input has a schema of the wrong type"),
        (
            {**SCHEMA, "type": "BATCH", "encoding": {"format": "jsonl"}, "manifest": ["Secret"]},
            "File 1 of a BATCH message of stream people",
        ),
        ({**SCHEMA, "schema": {"properties": None}}, "a schema whose properties are no object"),
        (
            {**SCHEMA, "schema": {"properties": {"title": True}}},
            "a schema whose property title is no object",
        ),
        (
            {**SCHEMA, "key_properties": "person_id"},
            "has key_properties that are no array of names",
        ),
        ({**SCHEMA, "key_properties": [1]}, "has key_properties that are no array of names"),
        (person(1, phone={"Ada Secret": 5}), "phone breaks the schema's rule “type string”"),
        (person(1, lead_score="Ada Secret"), "lead_score breaks the schema's rule"),
        (person(1, title="Ada Secret"), "the value of title is no ISO 8601 date-time"),
        (person(1, first_name="Secret \ud800"), "the value of first_name cannot be written"),
    ],
    ids=str,
)
def test_a_message_that_cannot_be_sent_ends_in_one_sentence_without_its_value(
    sandbox: Sandbox, command: Command, message: dict[str, Any], said: str
) -> None:
    done = command(SCHEMA, message, STATE)
    assert said in last_words(done, sandbox)
    assert not sandbox.import_jobs()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1" * 5000, "Line 2 of the input contains a number of too many digits"),
        ("[" * 100_000, "too many nested arrays"),
        ("1e5000", "the value of phone cannot be written"),
        ('["Secret", NaN]', "the value of phone cannot be written"),
        ('["Secret", 1e5000]', "the value of phone cannot be written"),
    ],
    ids=lambda text: text[:12],
)
def test_a_number_without_a_text_ends_in_one_sentence(
    sandbox: Sandbox, command: Command, cell: str, said: str
) -> None:
    schema = {"properties": {**COLUMNS, "phone": {}}}
    line = json.dumps(person(1, phone="CELL")).replace('"CELL"', cell)
    done = command(json.dumps({**SCHEMA, "schema": schema}), line)
    assert said in last_words(done, sandbox)
    assert "Unexpected" not in done.stderr


def test_an_empty_line_is_passed_over(sandbox: Sandbox, command: Command) -> None:
    lines = [json.dumps(SCHEMA), "", json.dumps(person(1)), " ", "{"]
    done = command(*lines)
    assert "Line 5 of the input is not JSON" in last_words(done, sandbox)
    assert command(*lines[:-1]).returncode == 0
    assert len(sandbox.import_jobs()) == 1


def test_a_property_that_the_schema_lacks_is_named_once(command: Command) -> None:
    rows = [person(1, nmae="Ada Secret", _sdc_x=1), person(1, nmae="Eve Secret")]
    done = command(SCHEMA, *rows)
    assert done.returncode == 0
    assert done.stderr.count("have a property nmae that their schema lacks") == 1
    assert "_sdc_x" not in done.stderr
    assert "Secret" not in done.stderr


def test_columns_of_field_mappings_that_no_stream_has_are_named(
    command: Command, config: dict[str, Any], api: str
) -> None:
    labels = config.get("field_mappings", {}).get("people", {})
    mappings = {"people": {**labels, "nmae": "phone" if api == "v1" else "Role"}}
    done = command(SCHEMA, field_mappings=mappings)
    assert done.returncode == 0
    said = r"field_mappings.people names columns that stream people does not have: .*\bnmae\b"
    assert re.search(said, done.stderr)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_token": 12345678901}, "the setting access_token must be of the type string"),
        ({"access_token": ["Secret"]}, "the setting access_token must be of the type string"),
        ({"access_token": {"a": "Secret"}}, "the setting access_token must be of the type string"),
        ({"access_token": "Secret Secret"}, "The setting access_token contains a space"),
        ({"api_url": "http://u:Secret@h:99999"}, "The setting api_url cannot be used"),
        ({"api_url": "Secret"}, "the setting api_url must begin with https"),
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
    sandbox: Sandbox, command: Command, settings: dict[str, Any], said: str
) -> None:
    done = command(SCHEMA, **settings)
    assert said in last_words(done, sandbox)
    assert "12345678901" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mapping_expression_that_fails_does_not_show_the_value(
    sandbox: Sandbox, command: Command
) -> None:
    maps = {"people": {"first_name": "int(first_name)"}}
    done = command(SCHEMA, person(1, first_name="Ada Secret"), STATE, stream_maps=maps)
    sentence = last_words(done, sandbox)
    assert "the stream map of first_name failed on the record (ValueError)" in sentence
    assert "of stream people" in sentence
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault(UPLOAD, Effect.STATUS, status=400, body='{"error": "Ada Secret"}'),
            "(HTTP 400): its message is left out, since it may quote a record.",
        ),
        (Fault(CREATE, Effect.STATUS, status=403), "denied permission"),
    ],
    ids=lambda value: value.operation if isinstance(value, Fault) else "",
)
def test_a_failure_of_the_server_ends_in_one_sentence_and_no_state(
    sandbox: Sandbox, command: Command, tmp_path: Path, fault: Fault, said: str
) -> None:
    sandbox.add_fault(fault)
    done = command(SCHEMA, person(1, first_name="Ada Secret"), STATE)
    assert said in last_words(done, sandbox)
    assert "Traceback" not in done.stderr
    assert len(sandbox.requests(fault.operation)) == 1
    assert not list(tmp_path.glob("spool/*.csv"))


@pytest.mark.v1_only("uapi gives no reason with a failed job")
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('row 1 holds "Ada Secret"', "people failed: row 1 holds ***"),
        ("value Ada Secret of column name", "people failed: value *** of column name."),
    ],
)
def test_a_job_that_failed_ends_in_its_words_without_values(
    sandbox: Sandbox, command: Command, message: str, said: str
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, message=message))
    done = command(SCHEMA, person(1, first_name="Ada Secret"), STATE)
    assert said in last_words(done, sandbox)
    assert "Traceback" not in done.stderr
    assert len(sandbox.requests(CREATE)) == 1


@pytest.mark.slow
def test_without_the_list_imports_are_read_one_by_one(sandbox: Sandbox, command: Command) -> None:
    sandbox.add_fault(Fault(LIST, Effect.INVALID_JSON, times=None))
    done = command(SCHEMA, person(1), STATE)
    assert done.returncode == 0
    assert "each is read alone" in done.stderr
    assert sandbox.token not in done.stderr


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
def test_no_failure_shows_a_value_or_a_credential(
    sandbox: Sandbox, command: Command, operation: str
) -> None:
    sandbox.add_fault(
        Fault(operation, Effect.STATUS, status=400, body='{"message": "row 1: Ada Lovelace"}')
    )
    done = command(SCHEMA, person(1), STATE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "CRITICAL" in done.stderr.splitlines()[-1]
    # Only the answers to calls that carry records may quote them.
    quoted = ["Lovelace"] if operation == UPLOAD else []
    for secret in (*quoted, "n1@a.example", sandbox.token, sandbox.client_secret):
        assert secret not in done.stderr
    assert sandbox.requests(operation)


def test_a_record_before_its_schema_ends_in_one_sentence(command: Command) -> None:
    done = command(person(1))
    assert done.returncode == 1
    assert "before a corresponding schema" in done.stderr.splitlines()[-1]


def test_too_many_creations_end_the_run_as_one_that_may_work_later(
    sandbox: Sandbox, command: Command
) -> None:
    headers = {"Retry-After": "901"}
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, headers=headers))
    done = command(SCHEMA, person(1), STATE)
    assert done.returncode == 75
    last = done.stderr.splitlines()[-1]
    assert "It asks to try again in 901 seconds" in last
    assert "tomorrow" not in last
    assert done.stdout == ""


def test_state_of_before_a_failing_batch_is_kept_and_that_of_after_it_is_not(
    sandbox: Sandbox, command: Command
) -> None:
    later = {"type": "STATE", "value": {"bookmarks": {"people": 2}}}
    messages = [
        SCHEMA,
        person(1),
        STATE,
        person(1, first_name="x"),
        person(1, person_id=None),
        later,
    ]
    done = command(*messages, batch_size_rows=1)
    assert done.returncode == 1
    assert '{"people": 2}' not in done.stdout
    assert "1 of 1 rows of stream people were rejected" in done.stderr.splitlines()[-1]
    assert rows_sent(sandbox) == [1, 1]


def test_wrong_credentials_fail_at_the_first_call_and_are_not_shown(
    sandbox: Sandbox, command: Command, api: str
) -> None:
    setting = "access_token" if api == "v1" else "client_secret"
    done = command(SCHEMA, person(1), STATE, **{setting: "mistyped-Secret-token"})
    assert "did not accept the " in last_words(done, sandbox)
    assert len(sandbox.requests()) == 1
