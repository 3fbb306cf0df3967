from __future__ import annotations

import logging
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demandbase_api.run_files import (
    dry_run_folder,
    remove_old,
    remove_old_reports,
    reports,
    run_name,
    write_report,
    write_settings,
)
from demandbase_api.state.objects import ObjectStore
from tests.api.fake_objects import FakeObjects

RUN = "20260301T120000Z-abcdef"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=30, seconds=1)
YOUNG = NOW - timedelta(days=30)

logger = logging.getLogger("test")


def test_runs_of_one_second_have_names_of_their_own() -> None:
    names = {run_name(NOW) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"20260301T120000Z-[0-9a-f]{6}", name) for name in names)


def test_a_report_is_a_line_for_its_owner(tmp_path: Path) -> None:
    path = Path(write_report(tmp_path / "reports", "r1", "{}"))
    assert path.read_text() == "{}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_old_reports_and_dry_runs_are_removed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, young = run_name(OLD), run_name(YOUNG)
    for run in (old, young):
        write_report(tmp_path, run, "{}")
        write_settings(tmp_path, run, "{}", "json")
        write_settings(tmp_path, run, "config:", "yml")
        folder = dry_run_folder(tmp_path, run)
        folder.mkdir()
        (folder / "people-1.csv").touch()
    data = {
        f"{old}-people.jsonl",
        f"rejects-{old}.jsonl",
        f"undelivered-{old}.jsonl",
        "report-mine.json",
        "settings-mine.json",
        f"report-{old}.json.bak",
        "report-99999999T999999Z-abcdef.json",
    }
    for name in data:
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        remove_old(tmp_path, 30, NOW, logger)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == data | {
        f"report-{young}.json",
        f"settings-{young}.json",
        f"settings-{young}.yml",
        f"dry-run-{young}",
    }
    said = "Removed 1 report, 1 dry run, 2 settings files older than keep_days (30) from "
    assert said in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        remove_old(tmp_path, 30, NOW, logger)
    assert not caplog.text


def test_a_link_in_place_of_a_dry_run_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    folder = tmp_path / "rejects"
    folder.mkdir()
    dry_run_folder(folder, run_name(OLD)).symlink_to(precious)
    remove_old(folder, 30, NOW, logger)
    assert (precious / "file").exists()


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_old(tmp_path / "none", 30, NOW, logger)


def test_a_bucket_gets_the_reports_and_removes_old_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    objects = FakeObjects()
    store = ObjectStore(objects)
    old = "20250101T000000Z-abcdef"
    for run in (old, RUN):
        assert write_report(tmp_path, run, "{}", store) == f"s3://bucket/report-{run}.json"
    objects.put("rejects-20250101T000000Z-abcdef-s.0001.jsonl", b"rows")
    assert list(reports(store)) == [RUN, old]
    remove_old_reports(store, 30, NOW, logger)
    assert sorted(objects.stored) == [
        "rejects-20250101T000000Z-abcdef-s.0001.jsonl", f"report-{RUN}.json",
    ]  # fmt: skip
    assert "Removed 1 report older than keep_days (30) from s3://bucket/" in caplog.text
    objects.is_down = True
    remove_old_reports(store, 30, NOW, logger)
    assert write_report(tmp_path, RUN, "{}", store) == str(tmp_path / f"report-{RUN}.json")
    assert f"The report of this run is kept in {tmp_path}" in caplog.text
