"""A day of hourly runs over all entities stays inside what the API allows a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from demandbase_api.errors import CallBudgetError, InvalidRequestError
from demandbase_api.models import ImportOperation, ImportRequest
from demandbase_sandbox import Sandbox, SandboxOptions
from tests.sandbox_time import SandboxTime
from tests.target.conftest import (
    OPPORTUNITY_LABELS,
    PEOPLE_LABELS,
    Load,
    QuickTarget,
    deal,
    deals,
    landed,
    people,
    person,
    record,
    schema,
    state,
)

pytestmark = pytest.mark.thorough

LIMITS = {
    "createImportJob": (1_200, ()),
    "uploadImportFile": (1_200, ()),
    "listImportJobs": (3_600, ()),
    "getImportJob": (3_600, ()),
    "listImportSources": (3_600, ("listActivityTypes", "getActivityType")),
    "fetchFields": (60, ()),
}
STREAMS = ("accounts", "people", "opportunities", "activities")
TEXT = {"type": ["string", "null"]}
SETTINGS: dict[str, Any] = {
    "activity_types": {"activities": 39},
    "unknown_fields": "drop",
    "field_mappings": {
        "accounts": {"name": "Account Name", "domain": "Account Domain", "industry": "Industry"},
        "people": PEOPLE_LABELS,
        "opportunities": OPPORTUNITY_LABELS,
        "activities": {"person": "External Person Id", "at": "Activity Date"},
    },
}


@pytest.fixture
def api() -> str:
    return "uapi"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A tenant whose jobs take a quarter of an hour, so that four fill the hour of a run."""
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=780)) as sandbox:
        yield sandbox


def begin(sandbox: Sandbox) -> datetime:
    """Skip to midnight, and return it."""
    tomorrow = sandbox.clock.now().date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), UTC)
    skip_to(sandbox, midnight)
    return midnight


def skip_to(sandbox: Sandbox, moment: datetime) -> None:
    sandbox.clock.advance(max(0.0, (moment - sandbox.clock.now()).total_seconds()))


def messages(sandbox: Sandbox, hour: int) -> list[dict[str, Any]]:
    """What an hour brings: a row of each entity, and a state behind each."""
    known = next(row for row in sandbox.rows("accounts") if row["account_id"] == "acc-00000001")
    account: dict[str, Any] = {
        "name": known["name"],
        "domain": known["domain"],
        "industry": f"hour {hour}",
    }
    rows = {
        "accounts": (schema(dict.fromkeys(account, TEXT)), record(**account)),
        "people": (people(), person(hour)),
        "opportunities": (deals(), deal(sandbox, hour)),
        "activities": (
            schema({"person": TEXT, "at": TEXT}, "activities", "person"),
            record("activities", person="per-00000001", at=f"2026-01-02T{hour % 24:02}:00:00Z"),
        ),
    }
    found: list[dict[str, Any]] = []
    for number, stream in enumerate(STREAMS, start=1):
        found += [*rows[stream], state(dict.fromkeys(STREAMS[:number], hour))]
    return found


def print_table(
    sandbox: Sandbox, ends: Counter[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, dict[str, int]]:
    """Print what each day's calls came to, having made sure that they were allowed."""
    days: dict[str, dict[str, int]] = {}
    with capsys.disabled():
        print()  # noqa: T201 - a table for who reads the test's output
        for day, calls in sandbox.calls_by_day().items():
            days[day] = {
                name: sum(calls.get(each, 0) for each in (name, *sharing))
                for name, (_, sharing) in LIMITS.items()
            }
            for name, (limit, _) in LIMITS.items():
                print(f"{day}  {name:<18}{days[day][name]:>6,} of {limit:>6,}")  # noqa: T201
                assert days[day][name] <= limit
        print(f"{ends['0']} runs delivered all streams, {ends['75']} ended with 75")  # noqa: T201
    assert not [request for request in sandbox.requests() if request.status == 429]
    return days


@pytest.mark.slow
def test_24_runs_over_all_entities_stay_inside_every_limit(
    sandbox: Sandbox, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    midnight = begin(sandbox)
    ends: Counter[str] = Counter()
    for hour in range(24):
        skip_to(sandbox, midnight + timedelta(hours=hour))
        done = load(*messages(sandbox, hour), **SETTINGS)
        assert done.state == dict.fromkeys(STREAMS, hour)
        ends["0"] += 1
    print_table(sandbox, ends, capsys)
    assert ends["0"] == 24
    assert landed(sandbox).keys() == {str(hour) for hour in range(24)}
    assert len(sandbox.import_jobs()) == 24 * len(STREAMS)
    assert {job["status"] for job in sandbox.import_jobs()} == {"completed"}


@pytest.mark.slow
class TestFullDay:
    """What somebody else has used up most of."""

    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        with Sandbox(SandboxOptions(pending_seconds=30, processing_seconds=90)) as sandbox:
            yield sandbox

    def test_a_job_that_the_day_cannot_hold_is_not_begun_and_the_state_stays_true(
        self,
        sandbox: Sandbox,
        load: Load,
        config: dict[str, Any],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        midnight = begin(sandbox)
        self.spend(sandbox, config, 1_200 - 15 * len(STREAMS) - 2)
        ends: Counter[str] = Counter()
        last = None
        for hour in range(24):
            skip_to(sandbox, midnight + timedelta(hours=hour))
            created = len(sandbox.import_jobs())
            if hour < 15:
                last = load(*messages(sandbox, hour), **SETTINGS).state
                ends["0"] += 1
                continue
            ends["75"] += 1
            done = load(*messages(sandbox, hour), failure=CallBudgetError, **SETTINGS)
            # Two jobs are left to the first of them; the others spend nothing.
            new = len(sandbox.import_jobs()) - created
            assert new == (2 if hour == 15 else 0)
            assert done.states == [dict.fromkeys(STREAMS[:n], hour) for n in range(1, new + 1)]
            last = done.state or last
        assert last == {"accounts": 15, "people": 15}
        assert landed(sandbox).keys() == {str(hour) for hour in range(16)}
        assert {job["status"] for job in sandbox.import_jobs()} == {"completed"}
        skip_to(sandbox, midnight + timedelta(days=1))
        assert load(*messages(sandbox, 24), **SETTINGS).state == dict.fromkeys(STREAMS, 24)
        days = print_table(sandbox, ends, capsys)
        assert days[midnight.date().isoformat()]["createImportJob"] == 1_200

    def spend(self, sandbox: Sandbox, config: dict[str, Any], calls: int) -> None:
        """Have another pipeline of this machine create jobs, in vain, which counts as well."""
        other = QuickTarget(config={**config, "spool_dir": "spool"})
        other.clock = SandboxTime(sandbox)
        wrong = ImportRequest("activities", ImportOperation.INSERT, None, ())
        for number in range(calls):
            with pytest.raises(InvalidRequestError):
                other.import_api.submit(wrong, f"other-{number}.csv")
        assert not sandbox.import_jobs()
