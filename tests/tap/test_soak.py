from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak import soak


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
def test_runs_with_random_faults_lose_nothing_and_buy_nothing_twice() -> None:
    figures = soak(rounds=300, seed=20260101)
    assert figures.problems == []
    assert figures.failed_runs > 100
