from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.states import PendingState, StateGate

steps = st.lists(
    st.tuples(st.just("defer"), st.sets(st.integers(0, 5)))
    | st.tuples(st.just("finish"), st.integers(0, 5))
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
    for word, value in script:
        if word == "defer":
            needs.append(value - finished)
            gate.defer(state(len(needs) - 1), value - finished)
        else:
            finished.add(value)
            gate.finish(value)
        out += released(gate)
        assert out == sorted(set(out))
        assert all(need <= finished for need in needs[: max(out, default=-1) + 1])
    for batch in range(6):
        gate.finish(batch)
        out += released(gate)
    assert not needs or out[-1] == len(needs) - 1


def test_states_of_one_batch_take_the_room_of_one() -> None:
    gate = StateGate()
    for number in range(1000):
        gate.defer(state(number), {1})
    assert len(gate._pending) == 1  # noqa: SLF001 - what is kept, nothing else shows
    gate.finish(1)
    assert gate.release() == state(999)
    assert gate.release() is None
