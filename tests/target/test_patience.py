"""Trouble that passes, from the creation of an import job to the reading of its end."""

from __future__ import annotations

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import CREATE, rows_sent

pytestmark = pytest.mark.thorough

MESSAGES = (people(), person(1), person(2), state(1))


def arrives(load: Load, sandbox: Sandbox) -> bool:
    """Whether all rows arrive in one job, and the state follows."""
    done = load(*MESSAGES)
    return (done.states, set(landed(sandbox)), rows_sent(sandbox)) == ([1], {"1", "2"}, [2])


@pytest.mark.parametrize("seconds", [2, 900])
def test_too_many_creations_are_waited_for_if_the_server_says_how_long(
    sandbox: Sandbox, load: Load, seconds: int
) -> None:
    headers = {"Retry-After": str(seconds)}
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, headers=headers))
    started = sandbox.clock.now()
    assert arrives(load, sandbox)
    assert (sandbox.clock.now() - started).total_seconds() >= seconds
    assert len(sandbox.requests(CREATE)) == 2


@pytest.mark.v1_only("over uapi the day's creations are counted")
def test_too_many_creations_are_tried_again_without_a_time_to_wait(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, times=2))
    assert arrives(load, sandbox)
