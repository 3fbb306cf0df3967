from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak_target import KINDS, soak

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
        ("v1", 4),
        ("uapi", 3),
        pytest.param("v1", 20, marks=pytest.mark.slow),
        pytest.param("uapi", 12, marks=pytest.mark.slow),
    ],
)
def test_runs_with_random_faults_lose_double_and_turn_back_nothing(api: str, rounds: int) -> None:
    figures = soak(rounds, seed=20260116, api=api)
    assert figures.problems == []
    assert figures.failed_runs > rounds / 4
    assert set(figures.kinds) == set(KINDS[api])


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    ("api", "rounds"),
    [
        ("v1", 2),
        ("uapi", 2),
        pytest.param("v1", 10, marks=pytest.mark.slow),
        pytest.param("uapi", 10, marks=pytest.mark.slow),
    ],
)
def test_runs_that_are_killed_are_continued_on_another_disk(api: str, rounds: int) -> None:
    figures = soak(rounds, seed=20260110, api=api, fresh_disk=True)
    assert figures.problems == []
    assert figures.failed_runs
