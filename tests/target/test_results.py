"""The accounting for rows, over an API in memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.exceptions import InvalidRecord, MissingKeyPropertiesError
from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    JobCancelledError,
    JobFailedError,
    ServerError,
)
from demandbase_api.models import ImportJob, ImportOperation, JobStatus, RowError
from target_demandbase.config import OnReject, RejectPolicy
from target_demandbase.errors import ReconciliationError, RejectedRowsError
from target_demandbase.import_queue import EndedImport, ImportBatch
from target_demandbase.mapping import StreamSchema
from target_demandbase.plan import StreamPlan
from target_demandbase.rejects import INVALID, MISSING_KEY, DeadLetters, Reject
from target_demandbase.report import RunRecorder
from target_demandbase.results import RejectDigest, Results
from target_demandbase.row_errors import Outcome
from target_demandbase.staging import StagedFile
from tests.api.fake_exports import FakeClock
from tests.api.fake_imports import UAPI, V1, FakeImports

SCHEMA = StreamSchema("scores", {"type": "object", "properties": {}}, ("domain",))
PLAN = StreamPlan(
    stream="scores",
    entity="accounts",
    operation=ImportOperation.UPSERT,
    match_key="domain",
    fields={"domain": "domain", "score": "engagement_score"},
    schema=SCHEMA.schema,
    key_properties=SCHEMA.key_properties,
    source=SCHEMA,
)
INSERT = replace(PLAN, operation=ImportOperation.INSERT)
ROWS = 4
FAIL = RejectPolicy(OnReject.FAIL)
GO_ON = RejectPolicy(OnReject.CONTINUE)
CREATED = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Listing(FakeImports):
    """Import jobs whose row errors are scripted: one list for each reading, the last repeated."""

    lists: list[Sequence[RowError] | ApiError] = field(default_factory=list)
    shown: list[ImportJob] = field(default_factory=list)
    """What each reading of the job shows; the last is repeated."""

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]

    @override
    def with_details(self, job: ImportJob, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        return job

    @override
    def row_errors(self, job_id: str, *, complete: bool = False) -> Iterator[RowError]:
        found = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(found, ApiError):
            raise found
        return iter(found)


@dataclass
class Ledger:
    """The accounting of one batch of four rows, of which one file is sent."""

    folder: Path
    policy: RejectPolicy = FAIL
    plan: StreamPlan = PLAN
    is_dry: bool = False
    lists: Sequence[Sequence[RowError] | ApiError] = ((),)
    able: Any = V1

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.api = Listing(self.clock, self.able, lists=list(self.lists))
        self.report = RunRecorder("r1", self.clock)
        self.letters = DeadLetters(self.folder, "r1")
        self.results = Results(
            self.api, self.letters, self.report, self.policy, is_dry=self.is_dry, clock=self.clock
        )
        self.results.count_read("scores", 1, ROWS)
        self.staged = StagedFile(self.folder, ("domain", "score"))
        for row in range(ROWS):
            message = {"type": "RECORD", "record": {"domain": f"d{row}", "score": f"bad {row}"}}
            self.staged.append(
                f'"d{row}","bad {row}"\n'.encode(), f"{json.dumps(message)}\n".encode()
            )

    def account(self, job: ImportJob | None, *later: ImportJob) -> Outcome:
        """Account for a job; ``later`` is what further readings of it show."""
        self.api.shown = list(later) or ([job] if job else [])
        batch = ImportBatch(self.plan, self.staged, 1, frozenset())
        return self.results.account(EndedImport(batch, job, "job-1", "sent.csv"))

    @property
    def kept(self) -> list[dict[str, Any]]:
        self.letters.flush()
        lines = (
            json.loads(line)
            for path in self.letters.paths.values()
            for line in path.read_text().splitlines()
        )
        return [line["record"] for line in lines if line["type"] == "RECORD"]

    def figures(self, *names: str) -> list[Any]:
        found = json.loads(self.report.report().as_json())["streams"]["scores"]
        return [found[f"rows_{name}"] for name in names]

    @property
    def rejected_by(self) -> list[dict[str, Any]]:
        found: dict[str, Any] = json.loads(self.report.report().as_json())["streams"]["scores"]
        return found["rejected_by"]  # type: ignore[no-any-return]


Accounting = Callable[..., Ledger]


@pytest.fixture
def accounting(tmp_path: Path) -> Iterator[Accounting]:
    """Returns a ledger, whose files are closed after the test."""
    opened: list[Ledger] = []

    def new(*args: Any, **members: Any) -> Ledger:  # noqa: ANN401
        opened.append(Ledger(tmp_path, *args, **members))
        return opened[-1]

    yield new
    for ledger in opened:
        ledger.staged._close()  # noqa: SLF001 - now, not in a thread


def done(
    status: JobStatus = JobStatus.COMPLETED,
    good: int | None = ROWS,
    bad: int | None = 0,
    **members: Any,  # noqa: ANN401
) -> ImportJob:
    return ImportJob("job-1", status, success_count=good, error_count=bad, **members)


def wrong(number: int | None, value: str | None = "", kind: str = "odd") -> RowError:
    if value == "" and number is not None:
        value = f"bad {number - 1}"
    return RowError(number, "engagement_score", kind, value, f"message of {number}")


BROKEN = ServerError(ApiOperation.LIST_ROW_ERRORS, "gave up", status=500)


@pytest.mark.parametrize(
    ("job", "errors", "outcome"),
    [
        (done(), [], (4, [])),
        (done(good=None), [], (4, [])),
        (done(bad=None), [], (4, [])),
        (done(good=3, bad=1), [wrong(2)], (3, [1])),
        (done(good=3, bad=None), [wrong(2)], (3, [1])),
        (done(good=None, bad=1), [wrong(2)], (3, [1])),
        (done(good=0, bad=4), [wrong(n) for n in (1, 2, 3, 4)], (0, [0, 1, 2, 3])),
        (done(good=0, bad=None), [wrong(n) for n in (1, 2, 3, 4)], (0, [0, 1, 2, 3])),
        (done(good=3, bad=1), [wrong(2), wrong(2, "d1")], (3, [1])),
        (done(good=2, bad=2), [wrong(3), wrong(1)], (2, [0, 2])),
    ],
)
def test_rows_are_imported_or_kept(
    accounting: Accounting,
    job: ImportJob,
    errors: list[RowError],
    outcome: tuple[int, list[int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    ledger = accounting(lists=[errors])
    succeeded, rejected = outcome
    found = ledger.account(job)
    assert (found.sent, found.succeeded, sorted(found.kept)) == (ROWS, succeeded, rejected)
    assert found.is_certain
    assert [row["domain"] for row in ledger.kept] == [f"d{n}" for n in rejected]
    assert ledger.figures("sent", "succeeded", "rejected") == [ROWS, succeeded, len(rejected)]
    assert f"imported {succeeded} of 4 rows of stream scores in job job-1" in caplog.text
    assert ledger.clock.sleeps == []
    for row in ledger.kept:
        number = int(row["domain"][1]) + 1
        assert row == {
            "domain": f"d{number - 1}", "score": f"bad {number - 1}", "_reject_job_id": "job-1",
            "_reject_type": "odd", "_reject_field": "engagement_score",
            "_reject_reason": f"message of {number}",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (PLAN, "Demandbase does not say which row it rejected, and it may be this one: message of"),
        (INSERT, "This row may be in already, since Demandbase does not say which row it rejected"),
        (replace(PLAN, entity="activities"), "This row may be in already"),
    ],
)
def test_rows_that_may_have_been_rejected_say_so_and_count_once(
    accounting: Accounting, plan: StreamPlan, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = accounting(replace(GO_ON, max_rows=2), plan, lists=[[wrong(None, "?"), wrong(2)]])
    found = ledger.account(done(good=2, bad=2))
    assert (found.succeeded, len(found.kept), found.is_certain) == (2, 4, False)
    assert ledger.figures("sent", "succeeded", "rejected") == [4, 2, 2]
    reasons = {row["domain"]: row["_reject_reason"] for row in ledger.kept}
    assert reasons.pop("d1") == "message of 2"
    assert len(reasons) == 3
    assert all(text.startswith(reason) and text.endswith("None") for text in reasons.values())
    ledger.results.check_batch(1)
    ledger.results.check_run()
    assert "2 of 4 rows of stream scores were rejected and are kept in" in caplog.text
    assert "engagement_score, odd: 2 (rows 2, …). Demandbase does not say which" in caplog.text
    assert "rejected: 3 rows that may be among them are kept as uncorrelated." in caplog.text
    assert ("Each of them may be in already: look it up" in caplog.text) is plan.is_add_only


@pytest.mark.parametrize(
    ("jobs", "lists", "sleeps"),
    [
        ([done(good=0), done()], [[]], [1.0]),
        ([done(good=0), done(good=0), done(good=3, bad=1)], [[], [], [wrong(1)]], [1.0, 2.0]),
        ([done(good=3, bad=1)], [[], [], [wrong(1)]], [1.0, 2.0]),
        ([done(good=3, bad=0)] * 4 + [done()], [[]], [1.0, 2.0, 3.0, 4.0]),
        ([done(JobStatus.PROCESSING), done()], [[]], [1.0]),
        ([done(good=0), done()], [[], BROKEN, []], [1.0, 2.0]),
    ],
)
def test_figures_that_lag_behind_are_read_again(
    accounting: Accounting, jobs: list[ImportJob], lists: list[Any], sleeps: list[float]
) -> None:
    ledger = accounting(lists=lists)
    ledger.account(*jobs)
    assert ledger.clock.sleeps == sleeps


@pytest.mark.parametrize("plan", [PLAN, INSERT])
def test_figures_that_stay_contradictory_end_the_run(
    accounting: Accounting, plan: StreamPlan, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = accounting(GO_ON, plan, lists=[[wrong(2), wrong(None, "?")]])
    with pytest.raises(ReconciliationError, match="list of row errors is 2, but should be 1") as e:
        ledger.account(done(good=3, bad=1))
    assert e.value.stream == "scores"
    assert sum(ledger.clock.sleeps) == 10
    assert ("does not add its rows a second time" in str(e.value)) is plan.is_add_only
    # What was certainly rejected is kept; the other rows come again.
    assert [row["domain"] for row in ledger.kept] == ["d1"]
    assert ledger.figures("sent", "succeeded", "rejected") == [4, 0, 2]
    assert "Cannot read" not in caplog.text


def test_a_job_that_cannot_be_read_again_is_judged_by_what_is_known(
    accounting: Accounting, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = accounting(lists=[[], BROKEN])
    with pytest.raises(ReconciliationError, match="success_count"):
        ledger.account(done(good=0))
    assert caplog.text.count("Cannot read the import job job-1 again: ") == 4


@pytest.mark.parametrize(
    ("members", "lists", "says", "figures", "kept"),
    [
        (
            {"good": 1, "bad": 1, "processed_rows": 2},
            [[wrong(2)]],
            "the other 2. The rejected rows are also kept in ",
            [4, 1, 1],
            ["d1"],
        ),
        ({"good": 1, "bad": 1}, [[wrong(None, "?")]], "rejected 1; it did not", [4, 1, 1], []),
        ({"good": 0, "bad": 0}, [[]], "Of 4 rows it imported 0 and rejected 0", [4, 0, 0], []),
        ({"good": 3, "bad": 0}, [[wrong(2)]], "does not say consistently", [4, 0, 1], ["d1"]),
        ({"good": None, "bad": None}, [[]], "does not say consistently", [4, 0, 0], []),
        ({"good": 2, "bad": None}, [BROKEN], "Of 4 rows it imported 2 and rej", [4, 2, 0], []),
    ],
)
def test_a_failed_job_ends_the_run_with_its_figures(
    tmp_path: Path,
    accounting: Accounting,
    members: dict[str, Any],
    lists: list[Any],
    says: str,
    figures: list[int],
    kept: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = accounting(GO_ON, lists=lists)
    job = done(JobStatus.FAILED, error_message="timeout", **members)
    with pytest.raises(JobFailedError) as caught:
        ledger.account(job)
    said = str(caught.value)
    assert "failed: timeout. " in said
    assert says in said
    assert said.endswith("The next run sends all rows of the job again.")
    assert ledger.figures("sent", "succeeded", "rejected") == figures
    assert [row["domain"] for row in ledger.kept] == kept
    assert (str(tmp_path) in said) is bool(kept)
    assert ledger.clock.sleeps == []
    assert ("Cannot read the row errors of job job-1: " in caplog.text) is (lists == [BROKEN])
    # Its message is in the error already.
    assert "with a message" not in caplog.text


def test_a_cancelled_job_ends_the_run(accounting: Accounting) -> None:
    ledger = accounting()
    with pytest.raises(JobCancelledError):
        ledger.account(done(JobStatus.CANCELLED, None, None))
    assert ledger.figures("sent", "succeeded", "rejected") == [4, 0, 0]


def test_the_list_of_row_errors_is_never_left_out(accounting: Accounting) -> None:
    with pytest.raises(ServerError):
        accounting(lists=[BROKEN]).account(done())


def test_an_api_without_row_errors_accepts_all(
    accounting: Accounting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ledger = accounting(able=UAPI, lists=[BROKEN])
    found = ledger.account(done(good=None, bad=None, file_name="other.csv"))
    assert found == Outcome(4, 4)
    assert "accepted 4 rows of stream scores in job job-1; row outcomes unknown" in caplog.text
    assert "another file" not in caplog.text
    assert ledger.figures("sent", "succeeded") == [4, 0]
    assert ledger.report._figures("scores").accepted == 4  # noqa: SLF001 - shown for uapi only


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, None),
        ({"error_message": ""}, None),
        ({"error_message": " \n"}, None),
        (
            {"error_message": "3 rows were processed for Ada"},
            "job-1 of stream scores is completed with a message: *** rows were processed for ***",
        ),
        ({"file_name": None}, None),
        ({"file_name": ""}, None),
        ({"file_name": "sent.csv"}, None),
        ({"file_name": "other.csv"}, "names another file than sent.csv, which was sent"),
    ],
)
def test_messages_and_other_file_names_are_warnings(
    accounting: Accounting,
    members: dict[str, Any],
    says: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert accounting().account(done(**members)).is_complete
    warnings = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == (says is not None)
    assert says is None or says in warnings[0]


@pytest.mark.parametrize(
    ("created", "completed", "seconds"),
    [
        (CREATED, CREATED + timedelta(seconds=7.5), 7.5),
        (None, CREATED, 0.0),
        (CREATED, None, 0.0),
        (None, None, 0.0),
    ],
)
def test_the_report_has_the_job(
    accounting: Accounting, created: datetime | None, completed: datetime | None, seconds: float
) -> None:
    ledger = accounting()
    ledger.account(done(created_at=created, completed_at=completed))
    [line] = ledger.report._figures("scores").jobs  # noqa: SLF001
    assert (line.id, line.seconds, line.rows, line.status) == ("job-1", seconds, 4, "completed")


def test_a_row_that_alone_is_too_large_is_kept(accounting: Accounting) -> None:
    ledger = accounting()
    assert ledger.account(None) == Outcome(4, 0)
    [kept] = ledger.kept
    assert (kept["domain"], kept["_reject_type"], kept["_reject_field"]) == (
        "d0",
        "too_large",
        None,
    )
    with pytest.raises(RejectedRowsError, match=r"larger than Demandbase takes: 1 \(row 1\)\."):
        ledger.results.check_batch(1)


@pytest.mark.parametrize(
    ("wrong_row", "shown", "by"),
    [
        (RowError(0, "engagement_score", "bad_type"), "engagement_score, bad_type", None),
        (RowError(0, "engagement_score", "Ada!"), "engagement_score, ***", None),
        (RowError(0, "ada@x.example", "bad"), "***, bad", ("***", "bad")),
        (RowError(0, "Engagement", "bad"), "Engagement, bad", None),
        (RowError(0, None, None), "(no field), unknown", (None, "unknown")),
    ],
)
def test_names_of_the_server_are_masked_unless_they_are_identifiers(
    accounting: Accounting, wrong_row: RowError, shown: str, by: tuple[str | None, str] | None
) -> None:
    ledger = accounting(lists=[[wrong_row]])
    ledger.account(done(good=3, bad=1))
    with pytest.raises(RejectedRowsError) as caught:
        ledger.results.check_batch(1)
    assert f"1 of 4 rows of stream scores were rejected: {shown}: 1 (row 1). " in str(caught.value)
    [kind] = ledger.rejected_by
    assert (kind["field"], kind["type"]) == (by or tuple(shown.split(", ")))


def rejecting(ledger: Ledger, *types: str) -> None:
    for type_ in types:
        reject = Reject(f"words of {type_}", "a value of mine", type_)
        ledger.results.reject(PLAN, 1, {"domain": "x"}, reject)


@pytest.mark.parametrize(
    ("types", "error"),
    [
        ([INVALID], InvalidRecord),
        ([INVALID, INVALID], InvalidRecord),
        ([MISSING_KEY], MissingKeyPropertiesError),
        (["odd"], None),
        ([INVALID, MISSING_KEY], None),
        ([INVALID, "odd", INVALID], None),
    ],
)
def test_the_error_is_also_that_of_the_sdk(
    accounting: Accounting, types: list[str], error: type[Exception] | None
) -> None:
    ledger = accounting()
    rejecting(ledger, *types)
    with pytest.raises(RejectedRowsError) as caught:
        ledger.results.check_batch(1)
    assert isinstance(caught.value, (InvalidRecord, MissingKeyPropertiesError)) is bool(error)
    assert isinstance(caught.value, error or RejectedRowsError)
    assert caught.value.stream == "scores"
    said = str(caught.value)
    assert said.startswith(f"{len(types)} of 4 rows of stream scores were rejected: words of ")
    assert "(row 4)" in said or "(rows 4, 4" in said
    assert "The other rows of the batch were imported. The rejected ones are in " in said
    assert said.endswith(" The run ends because on_reject is fail.")
    if isinstance(caught.value, InvalidRecord):
        assert (caught.value.error_message, caught.value.record) == (said, {})


def test_the_target_s_own_fields_are_not_masked(accounting: Accounting) -> None:
    ledger = accounting(GO_ON)
    rejecting(ledger, "odd one")
    assert ledger.rejected_by == [{"field": "a value of mine", "type": "odd one", "rows": 1}]
    assert ledger.kept[0]["_reject_job_id"] is None


def test_a_dry_run_says_that_nothing_was_sent(accounting: Accounting) -> None:
    ledger = accounting(is_dry=True)
    rejecting(ledger, "odd")
    with pytest.raises(RejectedRowsError, match=r"Nothing was sent\. The rejected ones are in"):
        ledger.results.check_batch(1)


@pytest.mark.parametrize(
    ("policy", "read_more", "at_end", "ends"),
    [
        (GO_ON, 0, True, None),
        (replace(GO_ON, max_rows=2), 0, True, None),
        (replace(GO_ON, max_rows=1), 0, False, "2 rejected rows are more than max_rejected_rows"),
        (replace(GO_ON, max_percent=50), 0, True, None),
        (replace(GO_ON, max_percent=49), 0, True, "50.0 % rejected rows are more than"),
        # Before the end, a percentage of a few rows means little.
        (replace(GO_ON, max_percent=0.1), 0, False, None),
        (replace(GO_ON, max_percent=0.1), 996, False, "0.2 % rejected rows are more than"),
        (replace(GO_ON, max_percent=0.2), 996, False, None),
    ],
)
def test_limits_end_the_run(
    accounting: Accounting,
    policy: RejectPolicy,
    read_more: int,
    at_end: bool,  # noqa: FBT001
    ends: str | None,
) -> None:
    ledger = accounting(policy)
    rejecting(ledger, "odd", "odd")
    if read_more:
        ledger.results.count_read("others", 2, read_more)
    if at_end:
        ledger.results.end_input()
    if ends is None:
        ledger.results.check_batch(1)
    else:
        with pytest.raises(RejectedRowsError, match=ends):
            ledger.results.check_batch(1)


def test_the_whole_run_is_checked_at_its_end(accounting: Accounting) -> None:
    ledger = accounting(replace(GO_ON, max_percent=30))
    rejecting(ledger, "odd", "odd")
    ledger.results.check_batch(1)
    with pytest.raises(RejectedRowsError) as caught:
        ledger.results.check_run()
    [path] = ledger.letters.paths.values()
    assert str(caught.value) == (
        f"2 of 4 rows of the run were rejected and are kept in {path}. The run fails because "
        "50.0 % rejected rows are more than max_rejected_percent (30)."
    )
    ledger.results.count_read("others", 2, 100)
    ledger.results.check_run()


def test_a_batch_is_checked_once_and_its_rejects_are_durable(
    accounting: Accounting, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = accounting(GO_ON)
    ledger.results.count_read("scores", 1)
    rejecting(ledger, "odd")
    # Without a flush, the second record of a file is in memory only.
    rejecting(ledger, "odd")
    ledger.results.check_batch(1)
    [path] = ledger.letters.paths.values()
    assert path.read_text().count('"RECORD"') == 2
    assert "2 of 5 rows of stream scores were rejected and are kept in" in caplog.text
    assert str(path) in caplog.text
    assert caplog.text.rstrip().endswith("words of odd: 2 (rows 5, 5).")
    caplog.clear()
    ledger.results.check_batch(1)
    ledger.results.check_batch(7)
    assert caplog.text == ""
    assert ledger.figures("rejected") == [2]
    assert json.loads(ledger.report.report().as_json())["streams"]["scores"]["records_read"] == 5


def digest(*rows: tuple[str, int | None]) -> list[str]:
    found = RejectDigest()
    for kind, row in rows:
        found.add(kind, row)
    assert found.rows == len(rows)
    return found.lines()


def numbered(kind: Callable[[int], str], count: int) -> list[tuple[str, int | None]]:
    return [(kind(n), n) for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([], []),
        ([("a", 3)], ["a: 1 (row 3)"]),
        ([("a", None)], ["a: 1"]),
        ([("a", None), ("a", 3)], ["a: 2 (rows 3, …)"]),
        ([("a", 1), ("b", 2), ("b", 4)], ["b: 2 (rows 2, 4)", "a: 1 (row 1)"]),
        (numbered(lambda _: "a", 10), ["a: 10 (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"]),
        (numbered(lambda _: "a", 11), ["a: 11 (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"]),
        (numbered(str, 20), [f"{n}: 1 (row {n})" for n in range(1, 21)]),
        (numbered(str, 21), [*(f"{n}: 1 (row {n})" for n in range(1, 21)), "1 other kinds"]),
        (
            numbered(str, 60),
            [
                "other: 11 (rows 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, …)",
                *(f"{n}: 1 (row {n})" for n in range(1, 20)),
                "30 other kinds",
            ],
        ),
    ],
)
def test_a_digest_counts_by_kind(rows: list[tuple[str, int | None]], lines: list[str]) -> None:
    assert digest(*rows) == lines
