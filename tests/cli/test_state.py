from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Demandbase, Done
from tests.command_process import run_command

COMPLETE = {
    "replication_key": "updated_at",
    "replication_key_value": "2026-01-31T10:00:00.000000Z",
    "last_job": {"id": "job-1", "created_at": "2026-01-31T10:01:00.000000Z"},
}
INTERRUPTED = {
    "replication_key": "day",
    "replication_key_value": "2026-01-10T00:00:00.000000Z",
    "next_window": "2026-01-10",
    "exported_on": "2026-01-31",
}
STATE: dict[str, Any] = {
    "bookmarks": {"people": COMPLETE, "visits": INTERRUPTED, "campaigns": {}},
}


@pytest.fixture(params=["v1"])
def api(request: pytest.FixtureRequest) -> str:
    """One API: a state does not depend on it."""
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(STATE))
    return path


def state(demandbase: Demandbase, file: Path, *options: str, code: int = 0) -> Done:
    return demandbase("state", str(file), *options, sources=(), code=code)


def test_bookmarks_are_in_words(demandbase: Demandbase, file: Path) -> None:
    words = state(demandbase, file).words
    assert (
        "people updated_at 2026-01-31 10:00:00Z job-1 "
        "complete until 2026-01-31 10:00:00Z, by a job of 2026-01-31 10:01:00Z"
    ) in words
    assert "interrupted: the next run resumes with 2026-01-10" in words
    assert "campaigns exported as a whole, or from the beginning" in words
    assert state(demandbase, file, "--json").json[0]["rows_until"] == "2026-01-31T10:00:00Z"


def test_a_state_of_meltano_keeps_its_form(demandbase: Demandbase, file: Path) -> None:
    file.write_text(json.dumps({"singer_state": STATE}))
    assert "people updated_at 2026-01-31" in state(demandbase, file).words
    found = state(demandbase, file, "--reset", "people", "--reset", "visits").json
    assert found == {"singer_state": {"bookmarks": {"campaigns": {}}}}
    file.write_text('{"singer_state": {}, "completed": 1}')
    assert "no bookmark" in state(demandbase, file).words
    file.write_text('{"singer_state": []}')
    assert "it must be an object" in state(demandbase, file, code=1).err


def test_a_whole_message_stands_for_its_value(demandbase: Demandbase, file: Path) -> None:
    file.write_text(json.dumps({"type": "STATE", "value": STATE}))
    found = state(demandbase, file, "--reset", "people", "--reset", "visits").json
    assert found == {"bookmarks": {"campaigns": {}}}


def test_a_stream_is_reset(demandbase: Demandbase, file: Path) -> None:
    found = state(demandbase, file, "--reset", "people", "--reset", "visits").json
    assert found == {"bookmarks": {"campaigns": {}}}
    assert json.loads(file.read_text()) == STATE


def test_a_bookmark_is_set_to_a_date(demandbase: Demandbase, file: Path) -> None:
    found = state(demandbase, file, "--set", "visits=2025-12-01", "--set", "people=2025-12-02").json
    visits = found["bookmarks"]["visits"]
    assert visits["replication_key_value"] == "2025-12-01T00:00:00.000000Z"
    assert visits["next_window"] is None
    assert "exported_on" not in visits
    people = found["bookmarks"]["people"]
    assert people == {**COMPLETE, "replication_key_value": "2025-12-02T00:00:00.000000Z"}
    file.write_text(json.dumps(found))
    assert "complete until 2025-12-01" in state(demandbase, file).words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--reset", "peple"), "no bookmark of stream peple: it has people, visits, campaigns"),
        (("--set", "people"), "is not of the form STREAM=DATE"),
        (("--set", "people=soon"), "is not of the form STREAM=DATE"),
        (("--set", "people=2026-02-30"), "is not of the form STREAM=DATE"),
        (("--set", "people=2999-01-01"), "is in the future: nothing would be exported"),
        (("--set", "campaigns=2026-01-01"), "campaigns has no date bookmark"),
    ],
)
def test_what_cannot_be_changed_is_said(
    demandbase: Demandbase, file: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in state(demandbase, file, *options, code=1).err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "The state is not JSON"),
        ('{"completed": {"singer_state": {"bookmarks": {}}}}', "has no member bookmarks"),
        ('{"type": "SCHEMA", "stream": "people"}', "is a SCHEMA message: the run that wrote it"),
        ('{"bookmarks": {"people": 1, "visits": {}}}', "cannot use the state of people: correct"),
    ],
)
def test_an_odd_state_ends_in_a_sentence(
    demandbase: Demandbase, file: Path, text: str, words: str
) -> None:
    file.write_text(text)
    assert words in state(demandbase, file, code=1).err


def test_a_missing_file_ends_in_a_sentence(demandbase: Demandbase, tmp_path: Path) -> None:
    assert "No such file" in state(demandbase, tmp_path / "none", code=2).err


def test_a_first_state_has_no_bookmark(demandbase: Demandbase, file: Path) -> None:
    file.write_text("{}")
    assert "each stream starts from the beginning" in state(demandbase, file).out


def test_a_state_may_come_from_standard_input() -> None:
    done = run_command("demandbase", "state", "-", "--reset", "people", text=json.dumps(STATE))
    assert set(json.loads(done.stdout)["bookmarks"]) == {"visits", "campaigns"}


def test_each_bookmark_that_cannot_be_used_is_in_the_list_and_can_be_corrected(
    demandbase: Demandbase, file: Path
) -> None:
    broken = {**COMPLETE, "replication_key_value": "yesterday"}
    foreign = {"partitions": [{"context": {"id": 1}, **COMPLETE}]}
    file.write_text(json.dumps({"bookmarks": {"a": broken, "b": 7, "c": foreign, "d": COMPLETE}}))
    done = state(demandbase, file, "--json", code=1)
    assert [line["is"] for line in done.json] == ["unusable", "unusable", "usable", "usable"]
    assert "partitions of another tap" in done.json[2]["says"]
    assert "state of a, b" in done.err
    found = state(demandbase, file, "--reset", "b", "--set", "a=2026-01-01")
    file.write_text(found.out)
    assert len(state(demandbase, file, "--json").json) == 3
