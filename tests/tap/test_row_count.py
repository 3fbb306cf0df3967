"""The numbers of rows that are read and sent: a lost row ends the run."""

from __future__ import annotations

import logging
from datetime import date
from itertools import islice
from typing import Any

import pytest

from demandbase_api.models import ExportJob, JobStatus
from tap_demandbase.errors import DateRangeError, RecordCountError
from tap_demandbase.incremental import FilteredRows
from tap_demandbase.streams import RECORD_PIPELINE, BulkStream, Pipeline, RowCount, sent_rows
from tap_demandbase.tap import TapDemandbase
from tap_demandbase.windows import Window

LOG = logging.getLogger("test")


def counted(read: int, sent: int) -> RowCount:
    count = RowCount("people", ExportJob("job-1", JobStatus.COMPLETED))
    count.read, count.sent = read, sent
    return count


def filtered(**counts: int) -> FilteredRows:
    window = Window(date(2026, 1, 1), date(2026, 1, 5), is_last=True)
    return FilteredRows("seen_at", window, **counts)


@pytest.mark.parametrize("rows", [None, filtered()])
def test_the_numbers_of_rows_are_logged(
    caplog: pytest.LogCaptureFixture, rows: FilteredRows | None
) -> None:
    with caplog.at_level(logging.INFO):
        counted(5, 5).check(LOG, rows)
    assert "5 rows sent\n" in caplog.text


def test_a_batch_file_counts_as_its_rows() -> None:
    written = [(4, "file:///people.jsonl"), (1, {"id": "4"})]
    assert [sent_rows(item) for item in written] == [4, 1]


def test_a_row_that_is_lost_on_the_way_fails() -> None:
    rows = counted(5, 4)
    with pytest.raises(RecordCountError, match="5 rows of the export job job-1 were read, and 4"):
        rows.check(LOG, None)
    rows.check(LOG, filtered(repeated=1))
    rows.check(LOG, filtered(before=1))
    with pytest.raises(RecordCountError):
        rows.check(LOG, filtered())
    with pytest.raises(RecordCountError):
        rows.check(LOG, filtered(before=1, repeated=1))


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
        rows.check(LOG, filtered())


@pytest.mark.parametrize("outside", [1, 249])
def test_rows_outside_of_the_requested_days_are_a_warning(
    caplog: pytest.LogCaptureFixture, outside: int
) -> None:
    counted(250, 240).check(LOG, filtered(before=7, repeated=3, far=outside))
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        f"{outside} of 250 rows have a seen_at that is more than a day outside of the requested "
        "days, 2026-01-01 to 2026-01-05; 7 rows are not sent because they are before the first "
        "day, and 3 because they were sent before" in warning.getMessage()
    )


def test_a_hundred_rows_that_are_all_outside_of_the_requested_days_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted(99, 0).check(LOG, filtered(before=99, far=99))
    assert "99 of 99 rows" in caplog.text
    with pytest.raises(DateRangeError, match=r"all 100 rows .* 2026-01-01 to 2026-01-05"):
        counted(100, 0).check(LOG, filtered(before=100, far=100))
    with pytest.raises(DateRangeError):
        counted(100, 100).check(LOG, filtered(far=100))
