from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.loader import StateGate

steps = st.lists(
    st.tuples(st.just("hold"), st.sets(st.integers(0, 5)))
    | st.tuples(st.just("settle"), st.integers(0, 5))
)


@given(steps)
def test_states_go_out_in_order_and_never_before_their_batches(
    script: list[tuple[str, Any]],
) -> None:
    out: list[int] = []
    gate = StateGate(lambda state: out.append(state["n"]))
    settled: set[int] = set()
    needs: list[set[int]] = []
    for word, value in script:
        if word == "hold":
            needs.append(value - settled)
            gate.hold({"n": len(needs) - 1}, value - settled)
        else:
            settled.add(value)
            gate.settled(value)
        assert out == sorted(set(out))
        assert all(need <= settled for need in needs[: max(out, default=-1) + 1])
    for batch in range(6):
        gate.settled(batch)
    assert not needs or out[-1] == len(needs) - 1


def test_states_of_one_batch_take_the_room_of_one() -> None:
    out: list[int] = []
    gate = StateGate(lambda state: out.append(state["n"]))
    for number in range(1000):
        gate.hold({"n": number}, {1})
    gate.settled(1)
    assert out == [999]
