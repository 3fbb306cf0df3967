"""The numbers of rows that are read and sent: a lost row ends the run."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

import pytest

from demandbase_api.models import ExportJob, JobStatus
from tap_demandbase.errors import RecordCountError
from tap_demandbase.streams import RECORD_PIPELINE, BulkStream, Pipeline, RowCount, sent_rows
from tap_demandbase.tap import TapDemandbase

LOG = logging.getLogger("test")


def counted(read: int, sent: int) -> RowCount:
    count = RowCount("people", ExportJob("job-1", JobStatus.COMPLETED))
    count.read, count.sent = read, sent
    return count


@pytest.mark.parametrize("may_filter", [False, True])
def test_the_numbers_of_rows_are_logged(
    caplog: pytest.LogCaptureFixture, *, may_filter: bool
) -> None:
    with caplog.at_level(logging.INFO):
        counted(5, 5).check(LOG, may_filter=may_filter)
    assert "5 rows read, 5 sent, 0 left out" in caplog.text


def test_a_batch_file_counts_as_its_rows() -> None:
    written = [(4, "file:///people.jsonl"), (1, {"id": "4"})]
    assert [sent_rows(item) for item in written] == [4, 1]


def test_a_row_that_is_lost_on_the_way_fails() -> None:
    rows = counted(5, 4)
    with pytest.raises(RecordCountError, match="5 rows of the export job job-1 were read, and 4"):
        rows.check(LOG, may_filter=False)
    rows.check(LOG, may_filter=True)


def test_a_row_that_is_lost_while_it_is_written_fails(config: dict[str, Any]) -> None:
    tap = TapDemandbase(config={**config, "entities": ["accounts"], "job_reuse_hours": 0})
    stream = tap.streams["accounts"]
    assert isinstance(stream, BulkStream)
    lossy: Pipeline[Any] = Pipeline(
        RECORD_PIPELINE.read, RECORD_PIPELINE.accept, lambda rows: islice(rows, 1, None)
    )
    with pytest.raises(RecordCountError, match=r"200 rows of the export job .* read, and 199 were"):
        list(stream._export(lambda: lossy))  # noqa: SLF001
    tap.exporter.close()


def test_more_than_was_read_fails_whatever_may_be_left_out() -> None:
    rows = counted(0, 5)
    with pytest.raises(RecordCountError):
        rows.check(LOG, may_filter=True)
