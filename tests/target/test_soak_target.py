from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak_target import soak

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("api", "rounds", "failed"), [("v1", 20, 5), ("uapi", 8, 1)])
def test_runs_with_random_faults_end_with_the_sources_rows_and_reject_none(
    api: str, rounds: int, failed: int
) -> None:
    figures = soak(rounds, seed=20260102, api=api)
    assert figures.problems == []
    assert figures.failed_runs > failed
