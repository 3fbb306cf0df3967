"""Stream maps change what is sent; what is kept is what the tap sent."""

from __future__ import annotations

from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import files
from tests.target.replay import replayed

MAPS: dict[str, Any] = {"people": {"title": "'Chief ' + title"}}
LOOSE = {"person_id": {"type": "string"}, "email": {"type": "string"},
         "title": {"type": "string"}, "lead_score": {"type": "string"}}  # fmt: skip


def test_a_row_that_is_kept_is_as_it_came_and_mapped_once_when_it_comes_back(
    sandbox: Sandbox, load: Load
) -> None:
    row = person(1, title="A", lead_score="viel", _sdc_sequence=7)
    done = load(people(), row, on_reject="continue", stream_maps=MAPS)
    [kept] = done.rejects
    assert (kept["title"], kept["lead_score"], kept["_sdc_sequence"]) == ("A", "viel", 7)
    load(*replayed(done.folder, '"viel"', "7"), stream_maps=MAPS)
    assert (landed(sandbox)["1"]["title"], landed(sandbox)["1"]["lead_score"]) == ("Chief A", "7")


@pytest.mark.v1_only("uapi reports no row outcomes")
def test_a_row_that_demandbase_rejects_is_kept_as_it_came(sandbox: Sandbox, load: Load) -> None:
    row = person(1, title="A", lead_score="viel", _sdc_sequence=7)
    done = load(people(LOOSE), row, on_reject="continue", stream_maps=MAPS)
    [kept] = done.rejects
    assert (kept["title"], kept["_sdc_sequence"]) == ("A", 7)
    load(*replayed(done.folder, "viel", "7"), stream_maps=MAPS)
    assert (landed(sandbox)["1"]["title"], landed(sandbox)["1"]["lead_score"]) == ("Chief A", "7")


def test_a_stream_of_another_name_is_kept_under_its_own(sandbox: Sandbox, load: Load) -> None:
    maps = {"contacts": {"__alias__": "people"}}
    messages = [
        {**message, "stream": "contacts"}
        for message in (people(), person(1), person(2, person_id=None))
    ]
    done = load(*messages, state(1), on_reject="continue", stream_maps=maps)
    assert done.states == [1]
    assert [message["stream"] for message in replayed(done.folder)] == ["contacts", "contacts"]
    assert files(sandbox) == [[person(1)["record"]]]


def test_deletions_are_not_sent_though_a_map_leaves_their_mark_out(
    sandbox: Sandbox, load: Load
) -> None:
    columns = ("person_id", "email", "first_name", "last_name")
    maps = {"people": {**{name: name for name in columns}, "__else__": None}}
    done = load(
        people(), person(1, _sdc_deleted_at="2026-01-01T00:00:00Z"), person(2), stream_maps=maps
    )
    assert done.report["streams"]["people"]["deletions_skipped"] == 1
    assert landed(sandbox).keys() == {"2"}


@pytest.mark.parametrize(
    ("maps", "column"),
    [
        ({"title": "str(int(title))"}, "title"),
        ({"phone": "title.nothing"}, "phone"),
        ({"title": "unknown + title"}, "title"),
        ({"__filter__": "int(title) > 0"}, "__filter__"),
    ],
)
def test_a_record_that_a_map_fails_on_is_kept_with_the_column(
    sandbox: Sandbox, load: Load, maps: dict[str, str], column: str
) -> None:
    rows = [person(1, title="5"), person(2, title="Ada Secret")]
    settings = {"stream_maps": {"people": maps}, "on_reject": "continue"}
    done = load(people(), *rows, state(1), **settings)
    assert done.states == [1]
    kept = done.rejects[-1]
    assert (kept["person_id"], kept["title"], kept["_reject_field"]) == ("n2", "Ada Secret", column)
    assert kept["_reject_type"] == "stream_map_failed"
    assert f"map of {column} failed on the record" in kept["_reject_reason"]
    assert "Secret" not in kept["_reject_reason"]
    if "int" in "".join(maps.values()):
        assert landed(sandbox).keys() == {"1"}
