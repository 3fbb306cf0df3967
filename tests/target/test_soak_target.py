from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak_target import soak


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
def test_runs_with_random_faults_end_with_the_sources_rows_and_reject_none() -> None:
    figures = soak(rounds=200, seed=20260102)
    assert figures.problems == []
    assert figures.failed_runs > 60
