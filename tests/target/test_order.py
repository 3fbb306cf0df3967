"""Rows of one key land in the order in which they came, whatever their columns are."""

from __future__ import annotations

import os
import resource
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import SpoolError
from demandbase_api.models import ImportOperation
from demandbase_sandbox import Sandbox
from target_demandbase.csv_writer import OnNull, RowEncoder
from target_demandbase.mapping import StreamSchema
from target_demandbase.open_files import GroupBudget, OpenFiles, open_files
from target_demandbase.plan import StreamPlan, suits_blocks
from target_demandbase.staging import ColumnGroups, StagedFile, key_digest, key_digests
from tests.target.conftest import PERSON, Load, landed, people, person, state
from tests.target.people_files import rows_sent, spans

pytestmark = pytest.mark.thorough


def scores(message: dict[str, Any]) -> dict[str, Any]:
    """The same of another stream."""
    return {**message, "stream": "scores"}


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_last_row_of_a_key_wins_across_column_sets(
    sandbox: Sandbox, load: Load, jobs: int
) -> None:
    load(
        people(),
        person(1, title="one"),
        person(1, title="two", phone="2"),
        person(1, title="three"),
        max_concurrent_jobs=jobs,
    )
    row = landed(sandbox)["1"]
    assert (row["title"], row["phone"]) == ("three", "2")
    assert rows_sent(sandbox) == [1, 1, 1]


def test_a_key_in_other_capitals_counts_as_the_same(sandbox: Sandbox, load: Load) -> None:
    load(
        people(),
        person(1, person_id="nx", title="one"),
        person(1, person_id="NX ", title="two", phone="2"),
        person(1, person_id="nx", title="three"),
    )
    assert rows_sent(sandbox) == [1, 1, 1]


def test_rows_of_different_keys_still_share_jobs(sandbox: Sandbox, load: Load) -> None:
    load(people(), *(person(n, **({"title": "T"} if n % 2 else {})) for n in range(20)))
    assert rows_sent(sandbox) == [10, 10]


def test_rows_of_before_a_schema_change_are_sent_before_those_after_it(
    sandbox: Sandbox, load: Load
) -> None:
    narrow = {name: PERSON[name] for name in PERSON if name != "phone"}
    load(
        people(narrow),
        person(1, title="old"),
        people(),
        *(person(1, title=f"new{n}", phone="1") for n in range(3)),
        batch_size_rows=2,
    )
    assert landed(sandbox)["1"]["title"] == "new2"
    assert rows_sent(sandbox) == [1, 1, 1]


def test_open_column_sets_are_bounded_over_all_streams(tmp_path: Path) -> None:
    budget = GroupBudget(3)
    groups, others = (ColumnGroups(tmp_path, 1000, budget=budget) for _ in range(2))
    for number in range(3):
        assert groups.fits((str(number),), 10, [str(number)])
        groups.add((str(number),), b'"x"\n', b"{}\n", [str(number)])
    assert not others.fits(("3",), 10, ["3"])
    assert groups.fits(("0",), 10, ["4"])
    files: list[StagedFile] = []
    groups.move_to(files)
    assert others.fits(("3",), 10, ["3"])
    others.add(("3",), b'"x"\n', b"{}\n", ["3"])
    others.close()
    assert budget.used == 0
    for file in files:
        file.close()


@pytest.mark.parametrize(
    ("spare", "jobs", "groups", "running"),
    [
        (0, 1, 16, 1), (-9, 1, 16, 1), (256, 1, 47, 1), (1024, 1, 239, 1), (1024, 500, 120, 240),
        (1 << 20, 1, 1024, 1), (1 << 20, 500, 1024, 500),
    ],
)  # fmt: skip
def test_a_run_opens_fewer_files_than_the_system_allows(
    spare: int, jobs: int, groups: int, running: int
) -> None:
    allowed = open_files(spare, jobs)
    assert allowed == OpenFiles(groups, running)
    assert spare <= 0 or 4 * allowed.groups + 2 * allowed.jobs < spare


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.v1_only("rows are staged in the same files over both APIs")
def test_many_column_sets_of_several_streams_do_not_use_up_the_open_files(
    sandbox: Sandbox, load: Load
) -> None:
    streams = ("one", "two", "three", "four")
    optional = {"title": "x", "phone": "1", "lead_score": 7}
    subsets = [dict(each) for n in range(4) for each in combinations(optional.items(), n)]
    rows = [
        {**person(f"{stream}-{number}", **subset), "stream": stream}
        for number, subset in enumerate(subsets)
        for stream in streams
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Two files for each group: enough for the 16 groups of a run, and not for all 32.
    free = (number for number in range(soft) if not is_open(number))
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, 56, None)), hard))
    try:
        schemas = ({**people(), "stream": stream} for stream in streams)
        done = load(*schemas, *rows, state(1), entity_map=dict.fromkeys(streams, "people"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert done.states == [1]
    assert len(landed(sandbox)) == len(sandbox.import_jobs()) == len(rows)


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


def test_rows_of_one_key_keep_their_order_across_streams_of_one_entity(
    sandbox: Sandbox, load: Load
) -> None:
    load(
        people(),
        scores(people()),
        person(1, title="one", phone="1"),
        scores(person(1, title="two", phone="2")),
        person(1, title="three", phone="3"),
        person(2, title="x", phone="4"),
        entity_map={"scores": "people"},
    )
    assert landed(sandbox)["1"]["title"] == "three"
    assert rows_sent(sandbox) == [1, 1, 2]


def test_other_keys_of_two_streams_of_one_entity_share_a_job_each(
    sandbox: Sandbox, load: Load
) -> None:
    rows = [scores(person(n)) if n % 2 else person(n) for n in range(8)]
    load(people(), scores(people()), *rows, entity_map={"scores": "people"})
    assert rows_sent(sandbox) == [4, 4]


@pytest.mark.parametrize(
    ("one", "other"), [("n1", "N1 "), ("né", "ne\u0301"), ("nﬁ", "nfi"), ("n\uff11", "n1")]
)
def test_keys_that_may_be_one_are_never_imported_at_once(
    sandbox: Sandbox, load: Load, one: str, other: str
) -> None:
    load(
        people(),
        person("x", person_id=one, title="one"),
        person("y", person_id=other, title="two", phone="2"),
        max_concurrent_jobs=3,
    )
    assert rows_sent(sandbox) == [1, 1]
    (_, done), (created, _) = spans(sandbox)
    assert done <= created


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("1", "1.0", True), ("01", "1.", True), ("-0", "0.0", True), ("+5", "5", True),
        ("1", "10", False), ("1", "-1", False), ("0.5", "5", False), ("1.0.0", "1.0", False),
        ("a", "A ", True),
    ],
)  # fmt: skip
def test_numbers_in_another_notation_may_be_one_key(
    one: str, other: str, *, are_same: bool
) -> None:
    assert (key_digest(one) == key_digest(other)) is are_same
    for keys in ([one, other], [one], [other], [one, other, "x"]):
        assert key_digests(keys) == [*map(key_digest, keys)]


@pytest.mark.parametrize("is_numeric", [False, True])
def test_a_numeric_match_key_is_one_key_in_any_notation(*, is_numeric: bool) -> None:
    schema = {"properties": {"id": {"type": "string"}, "name": {"type": "string"}}}
    plan = StreamPlan(
        stream="s", entity="accounts", operation=ImportOperation.UPSERT, match_key="id",
        fields={"id": "id", "name": "name"}, schema=schema, key_properties=("id",),
        source=StreamSchema("s", schema, ("id",)), is_key_numeric=is_numeric,
    )  # fmt: skip
    encoder = RowEncoder(plan, on_null=OnNull.BLANK, max_bytes=1000)
    keys = [encoder.encode({"id": text, "name": "a"}).key for text in ("1", "1.0", "01")]
    assert keys == (["1", "1", "1"] if is_numeric else ["1", "1.0", "01"])
    assert suits_blocks(plan) is not is_numeric
