from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak import soak

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    ("api", "rounds"),
    [
        ("v1", 2),
        ("uapi", 2),
        pytest.param("v1", 20, marks=pytest.mark.slow),
        pytest.param("uapi", 12, marks=pytest.mark.slow),
    ],
)
def test_runs_with_random_faults_lose_nothing_and_buy_nothing_twice(api: str, rounds: int) -> None:
    figures = soak(rounds, seed=20260101, api=api)
    assert figures.problems == []
    assert figures.failed_runs > rounds / 6
