from __future__ import annotations

import json
import stat
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.singerlib.json import deserialize_json

from demandbase_api.state.objects import ObjectStore
from target_demandbase.reader import SilentReader
from target_demandbase.rejects import DeadLetters, Reject, RejectsError, file_name_part
from tests.api.fake_objects import FakeObjects

pytestmark = pytest.mark.thorough

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "string"}}}
WHY = Reject("no such date", "renewal_date", "invalid_type", "job-1")
ADDED = {
    "_reject_reason": "no such date",
    "_reject_field": "renewal_date",
    "_reject_type": "invalid_type",
    "_reject_job_id": "job-1",
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [deserialize_json(line) for line in path.read_text("ascii").splitlines()]


def kept(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as it stands in the file, without what was added."""
    letters = DeadLetters(folder, "r1")
    letters.reject("s", SCHEMA, ["id"], record, WHY)
    letters.flush()
    found: dict[str, Any] = lines(letters.paths["s"])[-1]["record"]
    return {name: value for name, value in found.items() if name not in ADDED}


def test_nothing_is_created_before_the_first_reject(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "rejects", "r1")
    letters.flush()
    assert list(tmp_path.iterdir()) == []
    assert letters.paths == {}


def test_a_file_is_a_schema_and_the_original_records_with_why(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "rejects"
    letters = DeadLetters(folder, "r1")
    letters.reject("scores", SCHEMA, ["id"], {"id": "a"}, WHY)
    letters.reject("scores", SCHEMA, ["id"], {"id": None, "x": [1]}, Reject("no key"))
    letters.flush()
    path = folder / "rejects-r1-scores.jsonl"
    assert letters.paths == {"scores": path}
    text = {"type": ["null", "string"]}
    assert lines(path) == [
        {
            "type": "SCHEMA",
            "stream": "scores",
            "schema": {
                "type": "object",
                "properties": {"id": {"type": "string"}, **dict.fromkeys(ADDED, text)},
            },
            "key_properties": ["id"],
        },
        {"type": "RECORD", "stream": "scores", "record": {"id": "a", **ADDED}},
        {
            "type": "RECORD",
            "stream": "scores",
            "record": {
                "id": None,
                "x": [1],
                **dict.fromkeys(ADDED),
                "_reject_reason": "no key",
            },
        },
    ]
    assert SCHEMA == {"type": "object", "properties": {"id": {"type": "string"}}}


def test_the_targets_reader_takes_the_file(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "r1")
    letters.reject("s", SCHEMA, ["id"], {"id": "a"}, WHY)
    letters.flush()
    reader = SilentReader()
    kinds = [
        reader.deserialize_json(line)["type"]
        for line in letters.paths["s"].read_text().splitlines()
    ]
    assert kinds == ["SCHEMA", "RECORD"]


def test_a_record_that_was_rejected_before_says_why_it_was_rejected_now(tmp_path: Path) -> None:
    assert kept(tmp_path, {"id": "a", "_reject_reason": "old"}) == {"id": "a"}


def test_a_changed_schema_stands_before_its_records(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "r1")
    other = {"type": "object", "properties": {"n": {"type": "integer"}}}
    for schema, keys in ((SCHEMA, ["id"]), (dict(SCHEMA), ["id"]), (other, ["n"]), (other, [])):
        letters.reject("s", schema, keys, {}, WHY)
    letters.flush()
    kinds = [message["type"] for message in lines(letters.paths["s"])]
    assert kinds == ["SCHEMA", "RECORD", "RECORD", "SCHEMA", "RECORD", "SCHEMA", "RECORD"]


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "rejects"
    letters = DeadLetters(folder, "r1")
    letters.reject("s", SCHEMA, ["id"], {}, WHY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(letters.paths["s"].stat().st_mode) == 0o600


def test_what_a_flush_wrote_is_not_written_again(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "r1")
    for number in range(3):
        letters.reject("s", SCHEMA, ["id"], {"n": number}, WHY)
        letters.flush()
    letters.flush()
    numbers = [message["record"]["n"] for message in lines(letters.paths["s"])[1:]]
    assert numbers == [0, 1, 2]


def test_many_rejects_do_not_wait_in_memory(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "r1")
    for _ in range(5):
        letters.reject("s", SCHEMA, ["id"], {"id": "x" * 600_000}, WHY)
    assert letters.paths["s"].stat().st_size > 2_000_000
    letters.flush()
    assert len(lines(letters.paths["s"])) == 6


def test_streams_have_files_of_their_own_inside_the_folder(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "r1")
    streams = ["a/b", "a_b", "../../a", "a b", "é", "x" * 500, "x" * 499, "\ud800", ""]
    for stream in streams:
        letters.reject(stream, SCHEMA, ["id"], {}, WHY)
    letters.flush()
    assert len(set(letters.paths.values())) == len(streams)
    assert {path.parent for path in letters.paths.values()} == {tmp_path}
    assert set(tmp_path.iterdir()) == set(letters.paths.values())
    assert [lines(letters.paths[stream])[0]["stream"] for stream in streams] == streams


@given(st.text(), st.text())
def test_safe_names_are_short_plain_and_different(first: str, second: str) -> None:
    safe = file_name_part(first)
    assert safe.isascii()
    assert "/" not in safe
    assert len(safe) <= 120
    assert (safe == file_name_part(second)) == (first == second)


@given(st.dictionaries(st.text().filter(lambda name: name not in ADDED), JSON, max_size=4))
def test_records_read_back_as_they_were(record: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        assert kept(Path(folder), record) == record


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    digits = ["1.10", "0.12345678901234567890123", "1E+30", "-0.0"]
    letters = DeadLetters(tmp_path, "r1")
    letters.reject("s", SCHEMA, [], {"n": [Decimal(text) for text in digits]}, WHY)
    assert f'"n":[{",".join(digits)}]' in letters.paths["s"].read_text()


def test_what_json_cannot_hold_becomes_text_and_never_null(tmp_path: Path) -> None:
    record = {
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "on": date(2026, 1, 2),
        "floats": [float("nan"), {"deep": float("inf")}, 1.5],
        "decimals": [Decimal("NaN"), Decimal("-Infinity")],
        "half": "\ud800",
    }
    assert kept(tmp_path, record) == {
        "at": "2026-01-02T03:04:05+00:00",
        "on": "2026-01-02",
        "floats": ["nan", {"deep": "inf"}, Decimal("1.5")],
        "decimals": ["NaN", "-Infinity"],
        "half": "\ud800",
    }
    last = next(tmp_path.iterdir()).read_text().splitlines()[-1]
    json.loads(last, parse_constant=pytest.fail)


def test_a_record_that_is_too_deep_is_refused_in_a_sentence(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    letters = DeadLetters(tmp_path, "r1")
    with pytest.raises(RejectsError, match="stream s has too many nested arrays"):
        letters.reject("s", SCHEMA, [], {"deep": deep}, WHY)
    letters.reject("s", SCHEMA, [], {"id": "a"}, WHY)
    letters.flush()
    assert len(lines(letters.paths["s"])) == 2


def test_a_folder_that_cannot_be_written_names_the_setting_and_no_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    letters = DeadLetters(tmp_path / "file" / "rejects", "r1")
    with pytest.raises(RejectsError, match=r"cannot be written: .*rejects_path") as caught:
        letters.reject("s", SCHEMA, [], {"id": "secret"}, WHY)
    assert "secret" not in str(caught.value)


def test_a_folder_that_goes_away_fails_the_flush(tmp_path: Path) -> None:
    folder = tmp_path / "rejects"
    letters = DeadLetters(folder, "r1")
    letters.reject("s", SCHEMA, [], {}, WHY)
    letters.reject("s", SCHEMA, [], {}, WHY)
    letters.paths["s"].unlink()
    folder.rmdir()
    folder.write_text("")
    with pytest.raises(RejectsError, match="rejects_path"):
        letters.flush()


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


def streams_of(objects: FakeObjects) -> dict[str, list[str]]:
    """Return the types of the messages in each object."""
    return {
        name: [json.loads(line)["type"] for line in stored.content.splitlines()]
        for name, stored in objects.stored.items()
    }


def test_with_a_bucket_each_flush_moves_files_that_can_be_sent_again(
    tmp_path: Path, objects: FakeObjects
) -> None:
    letters = DeadLetters(tmp_path, "r1", ObjectStore(objects))
    letters.flush()
    for number in range(3):
        letters.reject("s", SCHEMA, ["id"], {"id": f"{number}"}, WHY)
        letters.reject("t", SCHEMA, ["id"], {"id": f"{number}"}, WHY)
        if number:
            letters.flush()
    letters.flush()
    assert streams_of(objects) == {
        "rejects-r1-s.0001.jsonl": ["SCHEMA", "RECORD", "RECORD"],
        "rejects-r1-t.0001.jsonl": ["SCHEMA", "RECORD", "RECORD"],
        "rejects-r1-s.0002.jsonl": ["SCHEMA", "RECORD"],
        "rejects-r1-t.0002.jsonl": ["SCHEMA", "RECORD"],
    }
    assert list(tmp_path.iterdir()) == []
    assert letters.places == [f"s3://bucket/rejects-r1-{stream}.*.jsonl" for stream in "st"]


def test_a_bucket_that_fails_leaves_the_rows_on_this_machine_and_names_them(
    tmp_path: Path, objects: FakeObjects
) -> None:
    letters = DeadLetters(tmp_path, "r1", ObjectStore(objects))
    letters.reject("s", SCHEMA, ["id"], {"id": "1"}, WHY)
    objects.is_down = True
    path = tmp_path / "rejects-r1-s.0001.jsonl"
    with pytest.raises(RejectsError, match=f"no connection. They are in {path}"):
        letters.flush()
    assert [line["type"] for line in lines(path)] == ["SCHEMA", "RECORD"]
    objects.is_down = False
    letters.flush()  # at the end of the run
    assert streams_of(objects) == {path.name: ["SCHEMA", "RECORD"]}
    assert not path.exists()
