"""Records that cannot be sent: kept with why, counted, borne up to a limit, sent again."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from target_demandbase.config import rejects_folder
from target_demandbase.errors import RejectedRowsError
from tests.target.conftest import PERSON, Load, landed, people, person, state
from tests.target.people_files import files
from tests.target.replay import replayed

pytestmark = pytest.mark.thorough

BAD = [person(n, title="Ada Secret", lead_score="viel") for n in (10, 11)]
MIXED = (people(), *BAD, *(person(n, lead_score=1) for n in range(3)), state(1))


def test_records_that_cannot_be_sent_are_kept_and_end_the_run(sandbox: Sandbox, load: Load) -> None:
    done = load(*MIXED, failure=RejectedRowsError)
    assert done.states == []
    assert [row["person_id"] for row in done.rejects] == ["n10", "n11"]
    kept = done.rejects[0]
    assert (kept["title"], kept["lead_score"]) == ("Ada Secret", "viel")
    assert (kept["_reject_type"], kept["_reject_job_id"]) == ("invalid_record", None)
    assert landed(sandbox).keys() == {"0", "1", "2"}


def test_with_continue_the_state_goes_out(load: Load) -> None:
    done = load(*MIXED, on_reject="continue")
    assert done.states == [1]
    assert len(done.rejects) == done.report["streams"]["people"]["rows_rejected"] == 2


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        ({"on_reject": "continue"}, True),
        ({"on_reject": "fail"}, False),
        ({"on_reject": "continue", "rejects_path": "kept"}, False),
    ],
)
def test_rejected_rows_in_a_temporary_folder_are_warned_of(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], *, warns: bool,
) -> None:  # fmt: skip
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    load(people(), person(1), **{"rejects_path": str(tmp_path / "tmp" / "rejects"), **settings})
    assert ("which is a temporary folder" in caplog.text) is warns


@pytest.mark.parametrize("setting", ["state_dir", "spool_dir"])
def test_without_a_folder_to_write_in_rejected_rows_are_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {setting: str(tmp_path / "state")}
    assert rejects_folder(config) == Path("rejects")
    # deploy/docker's own test has such a folder; here, root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, _: path != Path())
    assert rejects_folder(config) == tmp_path / "state" / "rejects"
    assert rejects_folder({**config, "rejects_path": "rows"}) == Path("rows")
    (tmp_path / "rejects").mkdir()
    assert rejects_folder(config) == Path("rejects")


@pytest.mark.parametrize(
    ("limits", "ends"),
    [
        ({"max_rejected_rows": 1}, True),
        ({"max_rejected_rows": 2}, False),
        ({"max_rejected_percent": 39}, True),
        ({"max_rejected_percent": 40}, False),
    ],
)
def test_a_run_bears_only_so_many(load: Load, limits: dict[str, Any], *, ends: bool) -> None:
    failure = RejectedRowsError if ends else None
    done = load(*MIXED, failure=failure, on_reject="continue", **limits)
    assert done.states == ([] if ends else [1])
    assert len(done.rejects) == 2


def test_the_share_of_rejected_rows_is_that_of_the_whole_run(load: Load) -> None:
    messages = (people(), person(99, person_id=None), *(person(n) for n in range(50)), state(1))
    settings = {"on_reject": "continue", "batch_size_rows": 5}
    assert load(*messages, max_rejected_percent=2, **settings).states == [1]
    load(*messages, max_rejected_percent=1, failure=RejectedRowsError, **settings)


def test_a_value_that_is_no_number_is_kept_as_text_though_it_is_not_sent(load: Load) -> None:
    columns = {**PERSON, "extra": {"type": "number"}}
    rows = (person(1, extra=float("nan")), person(2, person_id=None, extra=math.inf))
    done = load(people(columns), *rows, on_reject="continue", unknown_fields="drop")
    assert [(row["person_id"], row["extra"]) for row in done.rejects] == [(None, "inf")]


@pytest.mark.parametrize(
    ("cells", "kind", "field"),
    [
        ({"person_id": None}, {"missing_match_key", "missing_required"}, "person_id"),
        ({"person_id": ""}, {"missing_match_key", "missing_required"}, "person_id"),
        ({"title": 5}, {"invalid_record"}, "title"),
        ({"title": "x" * 5000}, {"too_large"}, None),
        ({"title": "half \ud800"}, {"invalid_value"}, "title"),
    ],
)
def test_a_record_that_cannot_be_sent_is_kept_and_the_others_land(
    sandbox: Sandbox, load: Load, cells: dict[str, Any], kind: set[str], field: str | None
) -> None:
    messages = (people(), person(1), person(2, **cells), state(1))
    done = load(*messages, failure=RejectedRowsError, max_file_bytes=4096)
    assert done.states == []
    [kept] = done.rejects
    assert {name: kept[name] for name in cells} == cells
    assert kept["_reject_type"] in kind
    assert kept["_reject_field"] == field
    assert landed(sandbox).keys() == {"1"}


def test_a_record_without_its_key_is_kept_and_can_be_sent_again(
    sandbox: Sandbox, load: Load
) -> None:
    bad = person(2, title="Ada Secret")
    del bad["record"]["person_id"]
    done = load(people(), person(1), bad, person(3), state(1), failure=RejectedRowsError)
    assert done.states == []
    [kept] = done.rejects
    assert kept["title"] == "Ada Secret"
    assert "person_id" in kept["_reject_reason"]
    assert kept["_reject_type"] == "missing_key"
    assert landed(sandbox).keys() == {"1", "3"}
    messages = replayed(done.folder)
    messages[1]["record"]["person_id"] = "n2"
    load(*messages)
    assert landed(sandbox)["2"]["title"] == "Ada Secret"
    assert not any("_reject" in name for name in files(sandbox)[-1][0])


def test_the_error_names_fields_kinds_and_files_and_no_value(load: Load) -> None:
    with pytest.raises(RejectedRowsError) as caught:
        load(*MIXED, person(99, person_id=None, title="Ada Secret"))
    sentence = str(caught.value)
    assert "3 of 6 rows of stream people were rejected" in sentence
    assert "lead_score breaks the schema's rule" in sentence
    assert ": 2 (rows 1, 2)" in sentence
    assert ": 1 (row 6)" in sentence
    assert "rejects-" in sentence
    assert "on_reject is fail" in sentence
    assert "Secret" not in sentence
    assert "viel" not in sentence


def test_a_dry_run_says_that_nothing_was_sent(load: Load) -> None:
    with pytest.raises(RejectedRowsError, match="Nothing was sent"):
        load(people(), person(1, person_id=None), dry_run=True)


def test_nothing_of_a_record_is_in_the_log(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        load(*MIXED, person(99, person_id=None, title="Ada Secret"), on_reject="continue")
    for secret in ("Secret", "viel", "n10", "n1@a.example"):
        assert secret not in caplog.text
