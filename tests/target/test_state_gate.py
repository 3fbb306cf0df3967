from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.states import PendingState, StateGate

BATCHES = st.integers(1, 6)
steps = st.lists(
    st.tuples(st.just("defer"), st.sets(BATCHES))
    | st.tuples(st.sampled_from(["finish", "hold"]), BATCHES)
)


def state(number: int) -> PendingState:
    return PendingState({"n": number}, 0)


def released(gate: StateGate) -> list[int]:
    found = gate.release()
    return [] if found is None else [found.value["n"]]


@given(steps)
def test_states_are_released_in_order_and_never_before_their_batches(
    script: list[tuple[str, Any]],
) -> None:
    out: list[int] = []
    gate = StateGate()
    finished: set[int] = set()
    needs: list[set[int]] = []
    held: set[int] = set()
    for word, value in script:
        if word == "defer":
            needs.append(value - finished)
            gate.defer(state(len(needs) - 1), value - finished)
        elif word == "hold":
            held |= {number for number, need in enumerate(needs) if value in need - finished}
            gate.hold(value)
        else:
            finished.add(value)
            gate.finish(value)
        out += released(gate)
        assert out == sorted(set(out))
        assert all(need <= finished for need in needs[: max(out, default=-1) + 1])
        assert not held.intersection(out)
    for batch in range(1, 7):
        gate.finish(batch)
        out += released(gate)
    free = [number for number in range(len(needs)) if number not in held]
    assert max(out, default=-1) == max(free, default=-1)
    gate.end()
    out += released(gate)
    assert not needs or out[-1] == len(needs) - 1
    assert not gate.is_waiting


def test_states_of_one_batch_take_the_room_of_one() -> None:
    gate = StateGate()
    for number in range(1000):
        gate.defer(state(number), {1})
    assert len(gate._pending) == 1  # noqa: SLF001 - what is kept, nothing else shows
    gate.finish(1)
    assert gate.release() == state(999)
    assert gate.release() is None


def test_states_that_are_held_take_the_room_of_one() -> None:
    gate = StateGate()
    for number in range(1000):
        gate.defer(state(number), {1})
        gate.hold(1)
    assert len(gate._pending) == 1  # noqa: SLF001 - what is kept, nothing else shows
    gate.finish(1)
    assert gate.release() is None
    gate.end()
    assert gate.release() == state(999)


def test_a_state_that_is_held_is_left_out_if_a_later_one_follows() -> None:
    gate = StateGate()
    gate.defer(state(1), {1})
    gate.hold(1)
    gate.defer(state(2), {1, 2})
    gate.finish(1)
    assert gate.release() is None
    gate.finish(2)
    assert gate.release() == state(2)
    assert not gate.is_waiting
