"""Stream maps change what is sent; what is kept is what the tap sent."""

from __future__ import annotations

import csv
import io
from typing import Any

from demandbase_sandbox import Sandbox
from tests.target.conftest import ACCOUNT, Load, record, schema, state
from tests.target.replay import replayed

LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}
MAPS: dict[str, Any] = {"accounts": {"name": "'Corp ' + name"}}


def test_a_rejected_row_is_kept_as_it_came_and_mapped_once_when_it_comes_back(
    sandbox: Sandbox, load: Load
) -> None:
    row = record(domain="a.example", name="A", engagement_score="viel", _sdc_sequence=7)
    done = load(schema(LOOSE), row, on_reject="continue", stream_maps=MAPS)
    [kept] = done.rejects
    assert (kept["name"], kept["_sdc_sequence"]) == ("A", 7)
    load(*replayed(done.folder, "viel", "7"), stream_maps=MAPS)
    [found] = [row for row in sandbox.rows("accounts") if row["domain"] == "a.example"]
    assert (found["name"], found["engagement_score"]) == ("Corp A", "7")


def test_a_stream_of_another_name_is_kept_under_its_own(sandbox: Sandbox, load: Load) -> None:
    maps = {"scores": {"__alias__": "accounts"}}
    rows = (record("scores", domain="a.example"), record("scores", domain=None))
    done = load(schema(LOOSE, "scores"), *rows, state(1), on_reject="continue", stream_maps=maps)
    assert done.states == [1]
    assert [message["stream"] for message in replayed(done.folder)] == ["scores", "scores"]
    [job] = sandbox.import_jobs()
    cells = list(csv.reader(io.StringIO(sandbox.uploaded(job["id"]).decode())))
    assert cells == [["domain"], ["a.example"]]


def test_deletions_are_not_sent_though_a_map_leaves_their_mark_out(
    sandbox: Sandbox, load: Load
) -> None:
    maps = {"accounts": {"domain": "domain", "name": "name", "__else__": None}}
    done = load(
        schema(), record(domain="a.example", name="A", _sdc_deleted_at="2026-01-01T00:00:00Z"),
        record(domain="b.example", name="B"), stream_maps=maps,
    )  # fmt: skip
    assert done.report["streams"]["accounts"]["deletions_skipped"] == 1
    assert "a.example" not in {row["domain"] for row in sandbox.rows("accounts")}
