from __future__ import annotations

import logging

import pytest

from demandbase_api.models import ExportJob, JobStatus
from tap_demandbase.errors import RecordCountError
from tap_demandbase.streams import RowCount

LOG = logging.getLogger("test")
ROWS = [{"id": str(number)} for number in range(5)]


def tally() -> RowCount:
    return RowCount("people", ExportJob("job-1", JobStatus.COMPLETED))


@pytest.mark.parametrize("may_leave_out", [False, True])
def test_rows_that_all_go_out_are_told(
    caplog: pytest.LogCaptureFixture, *, may_leave_out: bool
) -> None:
    rows = tally()
    assert list(rows.sent(rows.read(iter(ROWS)))) == ROWS
    with caplog.at_level(logging.INFO):
        rows.check(LOG, may_leave_out=may_leave_out)
    assert "5 rows read, 5 sent, 0 outside" in caplog.text


def test_a_batch_file_stands_for_its_rows() -> None:
    rows = tally()
    list(rows.read(iter(ROWS)))
    list(rows.sent(iter([(4, "file:///people.jsonl"), (1, {"id": "4"})])))
    rows.check(LOG, may_leave_out=False)


def test_a_row_that_is_lost_on_the_way_fails() -> None:
    rows = tally()
    list(rows.sent(iter(list(rows.read(iter(ROWS)))[1:])))
    with pytest.raises(RecordCountError, match="5 rows of the export job job-1 were read, and 4"):
        rows.check(LOG, may_leave_out=False)
    rows.check(LOG, may_leave_out=True)


def test_more_than_was_read_fails_whatever_may_be_left_out() -> None:
    rows = tally()
    list(rows.sent(iter(ROWS)))
    with pytest.raises(RecordCountError):
        rows.check(LOG, may_leave_out=True)
