"""The form of reports: what is left out, what was written by earlier versions, samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from demandbase_api.errors import ConfigurationError
from demandbase_api.process import Terminated
from demandbase_api.run_report import (
    MAX_SAMPLES,
    ExportRun,
    ImportRun,
    Outcome,
    Plugin,
    ReportedExport,
    ReportedExports,
    ReportedPhase,
    RowSample,
    RowSamples,
    RunFacts,
)
from tests.api.fake_exports import FakeClock

EARLIER_EXPORTS: dict[str, Any] = {
    "run": "20260102T030405Z-abcdef",
    "started_at": "2026-01-02T03:04:05Z",
    "seconds": 3.5,
    "calls_left": {"create_export": 59},
    "streams": {
        "accounts": {
            "outcome": "complete",
            "started_at": "2026-01-02T03:04:05Z",
            "seconds": 3.0,
            "rows_sent": 200,
            "windows": 0,
            "bytes": 100,
            "jobs": [
                {
                    "id": "job-1",
                    "adopted": False,
                    "created_at": "2026-01-02T03:04:05Z",
                    "completed_at": None,
                    "days": [None, "2026-01-01"],
                    "waited_seconds": 1.0,
                    "read_seconds": 0.5,
                    "bytes": 100,
                    "rows_read": 200,
                }
            ],
        }
    },
}
EARLIER_IMPORTS: dict[str, Any] = {
    "run": "20260102T030405Z-abcdef",
    "started_at": "2026-01-02T03:04:05Z",
    "seconds": 7,
    "list_action": "noop",
    "streams": {
        "scores": {
            "records_read": 4,
            "rows_staged": 3,
            "rows_deduplicated": 1,
            "rows_sent": 3,
            "rows_succeeded": 1,
            "rows_rejected": 2,
            "rejected_by": [{"field": None, "type": "required", "rows": 2}],
            "deletions_skipped": 0,
            "jobs": [{"id": "job-1", "seconds": 2.0, "rows": 3, "status": "failed"}],
        }
    },
}


def test_reports_of_earlier_versions_are_read_and_written_as_they_were() -> None:
    exports = msgspec.convert(EARLIER_EXPORTS, ExportRun)
    [job] = exports.streams["accounts"].jobs
    assert (job.rows_read, job.days, job.phases, exports.outcome) == (
        200,
        (None, "2026-01-01"),
        (),
        None,
    )
    assert json.loads(exports.as_json()) == EARLIER_EXPORTS
    imports = msgspec.convert(EARLIER_IMPORTS, ImportRun)
    assert imports.streams["scores"].rejected_by[0].rows == 2
    assert json.loads(imports.as_json()) == EARLIER_IMPORTS


def test_a_report_comes_back_as_it_was_written() -> None:
    job = ReportedExport(
        id="1",
        status="completed",
        adopted=True,
        phases=(ReportedPhase(phase="waiting", begin=0.5, end=2.0),),
        created_at=None,
        completed_at="2026-01-02T03:04:05Z",
        days=None,
        waited_seconds=1.5,
        read_seconds=0.0,
        bytes=0,
        rows_read=0,
    )
    stream = ReportedExports(
        outcome="complete",
        started_at=None,
        seconds=2.0,
        rows_sent=0,
        windows=0,
        bytes=0,
        jobs=(job,),
    )
    run = ExportRun(
        run="r",
        plugin="tap-demandbase",
        started_at="2026-01-02T03:04:05Z",
        seconds=2.0,
        settings={"api": "v1"},
        rows_over_time=(RowSample(0.0, 0), RowSample(1.5, 10)),
        streams={"a": stream},
    )
    assert "\n" not in run.as_json()
    assert msgspec.json.decode(run.as_json(), type=ExportRun) == run
    assert json.loads(run.as_json())["rows_over_time"] == [[0.0, 0], [1.5, 10]]


class TestRowSamples:
    """Rows over time."""

    def test_they_are_few_and_spread_over_the_run(self) -> None:
        clock = FakeClock()
        began = clock.now()
        samples = RowSamples(clock)
        for rows in range(1, 20_001):
            clock.sleep(0.5)
            samples.add(rows)
        found = samples.since(began)
        assert 50 < len(found) <= MAX_SAMPLES + 2
        assert (found[0], found[-1]) == (RowSample(0.0, 0), RowSample(10_000.0, 20_000))
        assert all(each.rows == round(each.seconds * 2) for each in found)
        gaps = [after.seconds - before.seconds for before, after in pairwise(found)]
        assert max(gaps) < 10_000 / 50

    def test_a_pause_is_kept(self) -> None:
        clock = FakeClock()
        began = clock.now()
        samples = RowSamples(clock)
        for seconds, rows in ((1.0, 10), (0.01, 500), (60.0, 500), (0.01, 900)):
            clock.sleep(seconds)
            samples.add(rows)
        assert [each.rows for each in samples.since(began)] == [0, 10, 500, 500, 900]

    def test_a_run_without_rows_has_none(self) -> None:
        samples = RowSamples(FakeClock())
        assert samples.since(0.0) == ()
        samples.add(0)
        assert samples.since(0.0) == ()


@dataclass
class _Error(Exception):
    text: str


@pytest.mark.parametrize(
    ("error", "outcome", "sentence"),
    [
        (None, Outcome.COMPLETE, None),
        (ConfigurationError("Set api."), Outcome.FAILED, "Set api."),
        (_Error("a value"), Outcome.FAILED, "Unexpected _Error"),
        (Terminated(15), Outcome.INTERRUPTED, "Stopped by SIGTERM: the next run"),
        (KeyboardInterrupt(), Outcome.INTERRUPTED, "It was stopped."),
    ],
)
def test_the_end_of_a_run_in_words(
    error: BaseException | None, outcome: Outcome, sentence: str | None
) -> None:
    plugin = SimpleNamespace(
        name="tap-demandbase",
        plugin_version="1.0",
        config={"access_token": "secret-token", "api": "v1"},
        config_jsonschema={"properties": {"access_token": {"secret": True}, "api": {}}},
    )
    facts = RunFacts.of(cast("Plugin", plugin), error)
    assert facts.outcome is outcome
    assert (facts.error or "").startswith(sentence or "")
    assert (facts.error is None) == (sentence is None)
    assert "a value" not in (facts.error or "")
    assert facts.settings == {"access_token": "***", "api": "v1"}
