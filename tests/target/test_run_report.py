from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.clock import Clock
from demandbase_api.jobs.job_timeline import JobTimeline
from demandbase_api.models import ImportJob, JobStatus
from demandbase_api.run_report import Outcome, RunFacts
from target_demandbase.rejects import RejectsError
from target_demandbase.report import RunRecorder, write_run


class HandClock(Clock):
    seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def streams(report: RunRecorder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.report().as_json())["streams"]
    return found


def test_a_run_is_one_line_with_all_figures_by_stream() -> None:
    clock = HandClock()
    report = RunRecorder("r1", clock)
    for _ in range(4):
        report.add_read("scores")
    report.add_staged("scores", 3)
    report.add_deduplicated("scores")
    report.add_sent("scores", 3)
    report.add_succeeded("scores", 1)
    report.add_rejected("scores", field="name", error_type="required")
    report.add_rejected("scores", field=None, error_type="file_too_large")
    report.add_deletions_skipped("scores")
    report.add_job("scores", "job-1", seconds=2.00049, rows=3, status=JobStatus.FAILED)
    report.add_read("a\nb")
    clock.sleep(7.5)
    line = report.report().as_json()
    assert "\n" not in line
    empty = {
        "records_read": 1,
        "rows_staged": 0,
        "rows_deduplicated": 0,
        "rows_sent": 0,
        "rows_succeeded": 0,
        "rows_rejected": 0,
        "rejected_by": [],
        "deletions_skipped": 0,
        "jobs": [],
    }
    assert json.loads(line) == {
        "run": "r1",
        "started_at": "2026-01-02T03:04:05Z",
        "seconds": 7.5,
        "rows_over_time": [[0.0, 0], [7.5, 5]],
        "streams": {
            "scores": {
                "records_read": 4,
                "rows_staged": 3,
                "rows_deduplicated": 1,
                "rows_sent": 3,
                "rows_succeeded": 1,
                "rows_rejected": 2,
                "rejected_by": [
                    {"field": "name", "type": "required", "rows": 1},
                    {"field": None, "type": "file_too_large", "rows": 1},
                ],
                "deletions_skipped": 1,
                "jobs": [{"id": "job-1", "seconds": 2.0, "rows": 3, "status": "failed"}],
            },
            "a\nb": empty,
        },
    }


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", None]), st.integers(1))
    )
)
def test_rejects_by_field_and_type_add_up(rejects: Iterable[tuple[str, str, int]]) -> None:
    report = RunRecorder("r1", HandClock())
    total = 0
    for name, kind, rows in rejects:
        report.add_rejected("s", field=name, error_type=kind, rows=rows)
        total += rows
    assert report.rejected("s") == total
    found = streams(report)["s"]
    assert found["rows_rejected"] == total
    counts = [kind["rows"] for kind in found["rejected_by"]]
    assert sum(counts) == total
    assert counts == sorted(counts, reverse=True)


def test_the_report_is_kept_for_its_owner_and_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "rejects"
    report = RunRecorder("r1", HandClock())
    first = report.report()
    write_run(folder, first)
    report.add_read("s", 5)
    second = report.report()
    write_run(folder, second)
    path = folder / "report-r1.json"
    assert list(folder.iterdir()) == [path]
    assert path.read_text() == second.as_json() + "\n"
    assert first != second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RejectsError, match="rejects_path"):
        write_run(tmp_path / "file", RunRecorder("r1", HandClock()).report())


def test_jobs_that_are_not_accounted_for_follow_the_others() -> None:
    clock = HandClock()
    report = RunRecorder("r1", clock)
    timeline = JobTimeline(clock)
    for number in (1, 2):
        timeline.add(ImportJob(f"job-{number}", JobStatus.PENDING), "accounts")
        timeline.describe(f"job-{number}", "scores", is_adopted=number == 1, rows=number)
    clock.sleep(2)
    timeline.saw(ImportJob("job-1", JobStatus.COMPLETED))
    report.add_job("scores", "job-1", seconds=2.0, rows=1, status=JobStatus.COMPLETED)
    clock.sleep(1)
    found = json.loads(report.report(tracked=timeline.jobs()).as_json())["streams"]["scores"]
    assert found["jobs"] == [
        {
            "id": "job-1",
            "status": "completed",
            "adopted": True,
            "phases": [{"phase": "running", "begin": 0.0, "end": 2.0}],
            "seconds": 2.0,
            "rows": 1,
        },
        {
            "id": "job-2",
            "status": "pending",
            "adopted": False,
            "phases": [{"phase": "waiting", "begin": 0.0, "end": 3.0}],
            "seconds": None,
            "rows": 2,
        },
    ]


def test_the_line_in_the_log_is_brief() -> None:
    clock = HandClock()
    report = RunRecorder("r1", clock)
    timeline = JobTimeline(clock)
    timeline.add(ImportJob("job-1", JobStatus.PENDING), "scores")
    clock.sleep(2)
    report.add_read("scores")
    facts = RunFacts(
        "target-demandbase", "1.0", "v1", {"access_token": "***"}, Outcome.FAILED, "No."
    )
    whole = report.report(facts, timeline.jobs())
    brief = json.loads(whole.in_brief().as_json())
    assert (brief["outcome"], brief["error"]) == ("failed", "No.")
    assert not {"settings", "rows_over_time"} & set(brief)
    assert "phases" not in brief["streams"]["scores"]["jobs"][0]
    assert {"settings", "rows_over_time"} < set(json.loads(whole.as_json()))
