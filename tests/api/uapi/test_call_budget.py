"""The daily calls are counted in a file, spread over the day and limited."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.clock import Clock
from demandbase_api.errors import ApiOperation, CallBudgetError, SpoolError
from demandbase_api.state.folder_store import FolderStore
from demandbase_api.uapi.call_budget import CALLS_A_DAY, CallBudget, CallCounter, pause
from tests.examples import examples

pytestmark = pytest.mark.thorough

DAY = date(2026, 3, 1)
LIST = ApiOperation.LIST_EXPORTS


@dataclass
class DayTime(Clock):
    moment: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> float:
        return self.moment.timestamp()

    def utc(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def budget(folder: Path, clock: Clock) -> CallBudget:
    return CallBudget(CallCounter(FolderStore(folder), "calls.json"), clock)


def test_all_runs_share_the_count(tmp_path: Path) -> None:
    clock = DayTime()
    for _ in range(60):
        budget(tmp_path, clock).spend(ApiOperation.CREATE_EXPORT)
    with pytest.raises(CallBudgetError, match="60 calls a day, which are used up") as caught:
        budget(tmp_path, clock).spend(ApiOperation.CREATE_EXPORT)
    assert caught.value.exit_code == 75
    assert caught.value.retry_after == 24 * 3600


def test_a_new_day_begins_at_midnight_utc(tmp_path: Path) -> None:
    clock = DayTime(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    for _ in range(60):
        budget(tmp_path, clock).spend(ApiOperation.CREATE_EXPORT)
    clock.sleep(1)
    budget(tmp_path, clock).spend(ApiOperation.CREATE_EXPORT)


def test_calls_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    counter = CallCounter(FolderStore(tmp_path), "calls.json")
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: counter.add(LIST, DAY, 50), range(80)))
    assert allowed.count(True) == 50
    assert counter.used(LIST, DAY) == 50


@pytest.mark.parametrize("text", ["", "{", "[]", '{"day": "2026-03-01", "calls": {"x": "y"}}'])
def test_a_damaged_file_restarts_the_count(tmp_path: Path, text: str) -> None:
    (tmp_path / "calls.json").write_text(text)
    counter = CallCounter(FolderStore(tmp_path), "calls.json")
    assert counter.add(LIST, DAY, 1)
    assert not counter.add(LIST, DAY, 1)


def test_an_unusable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="state_dir"):
        CallCounter(FolderStore(tmp_path / "file"), "calls.json").add(LIST, DAY, 1)


def test_too_few_calls_are_reported_in_advance(tmp_path: Path) -> None:
    days = budget(tmp_path, DayTime())
    days.check_exports(60)
    days.spend(ApiOperation.CREATE_EXPORT)
    with pytest.raises(CallBudgetError, match="59 are left, and at least 60 are needed"):
        days.check_exports(60)


@pytest.mark.parametrize("spent", ["CREATE_IMPORT", "UPLOAD_FILE", "LIST_IMPORTS"])
def test_an_import_without_enough_calls_is_not_begun(tmp_path: Path, spent: str) -> None:
    operation, clock = ApiOperation[spent], DayTime()
    days = budget(tmp_path, clock)
    used = {operation.name: CALLS_A_DAY[operation] - 1}
    (tmp_path / "calls.json").write_text(json.dumps({"day": DAY.isoformat(), "calls": used}))
    days.check_import()
    days.spend(operation)
    with pytest.raises(CallBudgetError, match="0 are left, and at least 1 are needed") as caught:
        days.check_import()
    assert "send more rows per job" in str(caught.value)
    clock.sleep(24 * 3600)
    days.check_import()


def test_calls_without_a_limit_are_not_counted(tmp_path: Path) -> None:
    budget(tmp_path, DayTime()).spend(ApiOperation.FETCH_LINK)
    assert not (tmp_path / "calls.json").exists()


@examples(30)
@given(
    start=st.integers(0, 86_399),
    used=st.integers(0, 1200),
    wish=st.floats(0.5, 60, allow_nan=False),
)
def test_calls_with_pauses_last_until_midnight(start: int, used: int, wish: float) -> None:
    clock = DayTime(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=start))
    made = used
    while clock.utc().date() == DAY and made < 1200:
        made += 1
        clock.sleep(max(wish, pause(made, 1200, clock.utc())))
    # The last call may be made in the last seconds, and none fails before.
    assert made < 1200 or clock.utc().date() > DAY or used == 1200


def test_early_calls_are_not_delayed() -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    assert pause(119, 1200, midnight) == 0
    assert pause(120, 1200, midnight) == pytest.approx(86_400 / 1080)
    assert pause(700, 1200, midnight + timedelta(hours=12)) == 0
