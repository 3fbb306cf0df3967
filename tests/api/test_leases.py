"""Locks of runs on several machines: a run that loses one stops, and two never go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from demandbase_api.errors import OtherRunError, StateError
from demandbase_api.jobs.import_journal import ImportJournal, JournalEntry, Phase
from demandbase_api.jobs.import_lock import EntityLocks
from demandbase_api.state import leases
from demandbase_api.state.leases import LEASE_SECONDS, LeaseLocks
from demandbase_api.state.objects import ObjectStore
from tests.api.fake_exports import FakeClock
from tests.api.fake_objects import FakeObjects
from tests.examples import examples

LOCK = "accounts.lock"


def run(objects: FakeObjects, name: str, clock: FakeClock | None = None) -> LeaseLocks:
    """A run whose object is written by ``beat`` only."""
    return LeaseLocks(objects, name, clock or objects.clock, beat_seconds=None)


def go_on() -> None:
    pass


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


def test_the_lock_of_a_killed_run_is_free_after_a_minute(objects: FakeObjects) -> None:
    assert run(objects, "r1").acquire(LOCK)
    second = run(objects, "r2")
    for seconds, is_free in ((0, False), (LEASE_SECONDS, False), (1, True)):
        objects.clock.time += seconds
        second.show()
        assert second.is_live("r1") is not is_free
        assert second.acquire(LOCK) is is_free
        second.beat()
    assert sorted(objects.stored) == [LOCK, "r2.alive"]


def test_a_run_that_shows_itself_keeps_its_lock(objects: FakeObjects) -> None:
    first, second = run(objects, "r1"), run(objects, "r2")
    assert first.acquire(LOCK)
    for _ in range(20):
        objects.clock.time += 30
        first.beat()
        second.show()
        second.beat()
        assert not second.acquire(LOCK)
    first.check()


@pytest.mark.parametrize("call", ["check", "beat", "show", "acquire"])
def test_a_run_that_was_taken_for_dead_stops(objects: FakeObjects, call: str) -> None:
    first, second = run(objects, "r1"), run(objects, "r2")
    assert first.acquire(LOCK)
    objects.clock.time += LEASE_SECONDS + 1
    assert second.acquire(LOCK)
    calls: dict[str, Callable[[], object]] = {
        "check": first.check,
        "beat": first.beat,
        "show": lambda: (first.check(), first.show()),
        "acquire": lambda: (first.check(), first.acquire("other.lock")),
    }
    for _ in range(2):  # and stays so
        with pytest.raises(OtherRunError, match="another run has taken its place") as caught:
            calls[call]()
    assert caught.value.exit_code == 75
    first.close()
    assert not run(objects, "r3").acquire(LOCK)
    assert second.acquire(LOCK)


def test_of_two_that_take_over_at_once_one_gets_it(objects: FakeObjects) -> None:
    assert run(objects, "r1").acquire(LOCK)
    objects.clock.time += LEASE_SECONDS + 1
    second, third = run(objects, "r2"), run(objects, "r3")
    second.show()
    third.show()
    outcomes = []

    def be_faster(name: str) -> None:
        if name == LOCK:
            objects.before_write = None
            outcomes.append(third.acquire(LOCK))

    objects.before_write = be_faster
    assert not second.acquire(LOCK)
    assert outcomes == [True]


def test_a_run_that_shows_itself_at_the_last_moment_lives(objects: FakeObjects) -> None:
    first, second = run(objects, "r1"), run(objects, "r2")
    assert first.acquire(LOCK)
    objects.clock.time += LEASE_SECONDS + 1
    second.show()

    def beat_first(name: str) -> None:
        if name == "r1.alive":
            objects.before_write = None
            first.beat()

    objects.before_write = beat_first
    assert not second.acquire(LOCK)
    first.check()


def test_the_clock_of_the_machine_does_not_matter(objects: FakeObjects) -> None:
    early, late = FakeClock(time=1.0), FakeClock(time=9e9)
    assert run(objects, "r1", early).acquire(LOCK)
    assert not run(objects, "r2", late).acquire(LOCK)
    objects.clock.time += LEASE_SECONDS + 1
    assert run(objects, "r3", early).acquire(LOCK)


@pytest.mark.parametrize("clock", ["now", "utc"])
def test_a_check_asks_the_store_unless_it_has_just_been_asked(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """One clock stops while the machine sleeps, the other may be set."""
    first = run(objects, "r1", FakeClock())
    first.show()
    version = objects.stored["r1.alive"].version
    first.check()
    assert objects.stored["r1.alive"].version == version
    later = {"now": lambda _: 1_000_001.0, "utc": lambda _: datetime.fromtimestamp(1_000_001, UTC)}
    monkeypatch.setattr(FakeClock, clock, later[clock])
    first.check()
    assert objects.stored["r1.alive"].version != version


def test_a_store_that_is_down_ends_the_run_before_it_sends(objects: FakeObjects) -> None:
    first = run(objects, "r1")
    assert first.acquire(LOCK)
    objects.clock.time += 5
    objects.is_down = True
    with pytest.raises(StateError):
        first.check()
    first.close()  # and this does not hide the error
    objects.is_down = False
    assert run(objects, "r2").is_live("r1")


@pytest.mark.parametrize("lost", ["show", "beat"])
def test_a_run_that_has_lost_the_responses_to_its_writes_lives(
    objects: FakeObjects, lost: str
) -> None:
    first = run(objects, "r1")
    if lost == "beat":
        first.show()
    for _ in range(2):
        objects.loses_responses = True
        with pytest.raises(StateError):
            getattr(first, lost)()
        objects.loses_responses = False
    getattr(first, lost)()
    first.beat()
    first.check()
    objects.clock.time += LEASE_SECONDS + 1
    assert not run(objects, "r2").is_live("r1")
    with pytest.raises(OtherRunError):
        first.beat()


def test_the_end_of_a_run_does_not_wait_for_a_store_that_has_failed(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(objects, "r1")
    assert first.acquire(LOCK)
    objects.is_down = True
    with pytest.raises(StateError):
        first.beat()
    asked = []
    monkeypatch.setattr(FakeObjects, "_check", lambda _: asked.append(1))
    first.close()
    assert asked == []
    assert "The end of this run cannot be shown" in caplog.text


def test_the_end_of_a_run_is_one_call(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(objects, "r1")
    assert first.acquire(LOCK)
    assert first.acquire("other.lock")
    asked = []
    monkeypatch.setattr(FakeObjects, "_check", lambda _: asked.append(1))
    first.close()
    assert asked == [1]
    assert run(objects, "r2").acquire(LOCK)


def test_a_run_without_locks_needs_no_check(objects: FakeObjects) -> None:
    objects.is_down = True
    run(objects, "r1").check()
    run(objects, "r1").beat()
    run(objects, "r1").close()


def test_a_run_that_was_taken_for_dead_writes_no_entry(objects: FakeObjects) -> None:
    """It would be taken for that of an import which nobody has gone on with."""
    entry = JournalEntry("f00d", "s", "people", "insert", 1, "2026-11-30T00:00:00+00:00")
    first, second = run(objects, "r1"), run(objects, "r2")
    journal = ImportJournal(ObjectStore(objects), first, "r1")
    journal.put(entry)
    objects.clock.time += LEASE_SECONDS + 1
    taken = ImportJournal(ObjectStore(objects), second, "r2")
    [left] = taken.left_behind()
    taken.drop(taken.adopt(left, "f00d"))
    with pytest.raises(OtherRunError):
        journal.put(entry.now(Phase.UPLOADED, "job"))
    assert sorted(objects.stored) == ["r2.alive"]


def test_a_run_that_falls_asleep_in_a_write_of_an_entry_does_not_bring_it_back(
    objects: FakeObjects,
) -> None:
    entry = JournalEntry("f00d", "s", "people", "insert", 1, "2026-11-30T00:00:00+00:00")
    journal = ImportJournal(ObjectStore(objects), run(objects, "r1"), "r1")
    journal.put(entry)
    taken = ImportJournal(ObjectStore(objects), run(objects, "r2"), "r2")

    def sleep(name: str) -> None:
        if name.endswith(".json"):
            objects.before_write = None
            objects.clock.time += LEASE_SECONDS + 1
            [left] = taken.left_behind()
            taken.drop(taken.adopt(left, "f00d"))

    objects.before_write = sleep
    with pytest.raises(OtherRunError):
        journal.put(entry.now(Phase.UPLOADED, "job"))
    assert sorted(objects.stored) == ["r2.alive"]


def test_an_entry_that_a_person_has_removed_is_written_again(objects: FakeObjects) -> None:
    entry = JournalEntry("f00d", "s", "people", "insert", 1, "2026-11-30T00:00:00+00:00")
    store = ObjectStore(objects)
    journal = ImportJournal(store, run(objects, "r1"), "r1")
    written = journal.put(entry)
    objects.delete(journal.name(written))
    for phase in (Phase.UPLOADING, Phase.UPLOADED):
        written = journal.put(entry.now(phase, "job"))
        assert journal.find("f00d") == written


def test_an_entry_whose_write_has_lost_its_response_is_written_again(objects: FakeObjects) -> None:
    entry = JournalEntry("f00d", "s", "people", "insert", 1, "2026-11-30T00:00:00+00:00")
    journal = ImportJournal(ObjectStore(objects), run(objects, "r1"), "r1")
    journal.put(replace(entry, fingerprint="beef"))  # shows the run
    for phase in (Phase.CREATING, Phase.UPLOADING):
        objects.loses_responses = True
        with pytest.raises(StateError):
            journal.put(entry.now(phase))
        objects.loses_responses = False
        assert journal.put(entry.now(phase)) == journal.find("f00d")


def test_a_lock_that_another_run_has_taken_over_is_not_released(objects: FakeObjects) -> None:
    first, second = run(objects, "r1"), run(objects, "r2")
    assert first.acquire(LOCK)
    objects.clock.time += LEASE_SECONDS + 1
    assert second.acquire(LOCK)
    first.release(LOCK)
    assert not run(objects, "r3").acquire(LOCK)


def test_a_release_that_comes_too_late_changes_nothing(objects: FakeObjects) -> None:
    first, second = run(objects, "r1"), run(objects, "r2")
    assert first.acquire(LOCK)

    def sleep_and_lose(_: str) -> None:
        objects.before_write = None
        objects.clock.time += LEASE_SECONDS + 1
        assert second.acquire(LOCK)

    objects.before_write = sleep_and_lose
    first.release(LOCK)
    assert not run(objects, "r3").acquire(LOCK)


def test_what_killed_runs_have_left_is_removed_after_a_day(objects: FakeObjects) -> None:
    run(objects, "r1").show()
    objects.put("f00d.r1.json", b"{}")
    objects.clock.time += 86_400
    run(objects, "r2").show()
    assert "r1.alive" in objects.stored
    objects.clock.time += 1
    run(objects, "r3").show()
    assert "r1.alive" not in objects.stored
    assert "f00d.r1.json" in objects.stored


def test_a_run_shows_itself_while_it_does_other_things(
    objects: FakeObjects, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", leases.logger.name)
    first = LeaseLocks(objects, "r1", beat_seconds=0.005)
    first.show()
    name = "r1.alive"
    seen: set[str] = set()

    def versions(count: int) -> None:
        until = time.monotonic() + 10
        while len(seen) < count and time.monotonic() < until:
            seen.add(objects.stored[name].version)
            time.sleep(0.001)
        assert len(seen) >= count

    versions(4)
    objects.is_down = True
    until = time.monotonic() + 10
    while "cannot show that it is alive" not in caplog.text and time.monotonic() < until:
        time.sleep(0.001)
    objects.is_down = False  # it goes on
    versions(len(seen) + 2)
    threads = {each.name for each in threading.enumerate()}
    assert "state-lease" in threads
    first.close()
    assert name not in objects.stored
    until = time.monotonic() + 10
    while "state-lease" in {each.name for each in threading.enumerate()}:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_the_next_run_waits_for_a_killed_one_on_another_machine(
    objects: FakeObjects, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert run(objects, "r1").acquire("accounts-e3b0c442.lock")
    second = run(objects, "r2")
    entities = EntityLocks(second, objects.location(), "", objects.clock, 600)
    began = objects.clock.time
    entities.acquire("accounts", second.beat)
    assert LEASE_SECONDS < objects.clock.time - began < LEASE_SECONDS + 5
    assert "Waiting for another run that imports into accounts" in caplog.text
    entities.check()
    entities.close()
    assert run(objects, "r3").acquire("accounts-e3b0c442.lock")


class _Interrupting:
    """Runs one operation in the middle of another, before a write."""

    def __init__(self, objects: FakeObjects) -> None:
        self._objects = objects
        self._pending: list[tuple[int, Callable[[], None]]] = []

    def do(
        self, operation: Callable[[], None], others: list[tuple[int, Callable[[], None]]]
    ) -> None:
        self._pending = others
        self._objects.before_write = self._before
        operation()
        self._objects.before_write = None
        for _, other in self._pending:
            other()
        self._pending = []

    def _before(self, _: str) -> None:
        if self._pending:
            writes, other = self._pending[0]
            if writes:
                self._pending[0] = (writes - 1, other)
                return
            self._pending.pop(0)
            other()


RUNS = st.integers(0, 2)
ACTION = st.tuples(
    RUNS, st.sampled_from(["acquire", "release", "beat", "check", "close", "is_live"])
)
STEP = st.tuples(
    st.sampled_from([0, 1, 20, 61, 100]),
    ACTION,
    st.lists(st.tuples(st.integers(0, 3), ACTION), max_size=2),
)


class _Holder(LeaseLocks):
    """A run that knows what it believes to have."""

    def __init__(self, objects: FakeObjects, name: str) -> None:
        super().__init__(objects, name, objects.clock, beat_seconds=None)
        self.has_lock = False

    @override
    def acquire(self, name: str) -> bool:
        self.has_lock = super().acquire(name)
        return self.has_lock

    @override
    def release(self, name: str) -> None:
        self.has_lock = False
        super().release(name)

    @override
    def close(self) -> None:
        self.has_lock = False
        super().close()

    def may_send(self, objects: FakeObjects) -> bool:
        """Whether a check by the store would pass."""
        found = objects.stored.get(self._name)
        is_alive = found is not None and found.version == self._version and not self._is_lost
        return self.has_lock and is_alive


@examples(300)
@given(steps=st.lists(STEP, max_size=14))
def test_two_runs_never_go_on_with_one_lock(
    steps: list[tuple[int, tuple[int, str], list[tuple[int, tuple[int, str]]]]],
) -> None:
    """Whatever runs do, however they interrupt each other, and however long each pauses."""
    objects = FakeObjects()
    runs = [_Holder(objects, f"r{number}") for number in range(3)]
    busy: set[int] = set()

    def act(number: int, action: str) -> None:
        if number in busy:
            return  # one run does one thing at a time
        busy.add(number)
        calls: dict[str, Callable[[], object]] = {
            "acquire": partial(runs[number].acquire, LOCK),
            "release": partial(runs[number].release, LOCK),
            "is_live": partial(runs[number].is_live, f"r{(number + 1) % 3}"),
        }
        try:
            calls.get(action, getattr(runs[number], action))()
        except OtherRunError:
            runs[number].has_lock = False
        busy.discard(number)
        assert sum(each.may_send(objects) for each in runs) <= 1

    interrupting = _Interrupting(objects)
    for seconds, (number, action), others in steps:
        objects.clock.time += seconds
        interrupting.do(
            partial(act, number, action),
            [(writes, partial(act, *other)) for writes, other in others],
        )
