"""The download of a part, with a scripted API and a clock that only waits move."""

from __future__ import annotations

import errno
import io
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from typing_extensions import override

from demandbase_api import downloads
from demandbase_api.downloads import SPACE_STEP_BYTES, Downloader, PartFetcher
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    CallBudgetError,
    ChangedFileError,
    DemandbaseError,
    DownloadError,
    InterruptedDownloadError,
    JobGoneError,
    LinkRejectedError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    SpoolError,
    UnexpectedResponseError,
)
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import ExportJob, JobStatus
from demandbase_api.ports import PartBody, Resume
from tests.api.fake_exports import FakeClock, FakeExports

LINK, PART, GET = ApiOperation.FETCH_LINK, ApiOperation.DOWNLOAD_PART, ApiOperation.GET_EXPORT
JOB = ExportJob("x", JobStatus.COMPLETED, record_count=3)
MIB = 2**20
BROKEN = InterruptedDownloadError(LINK, "broke the connection in the middle of the file")


@dataclass
class Body(PartBody):
    """A body of some chunks; framed, but with or without a length.

    ``seconds`` pass before each chunk; ``error`` follows the last one.
    """

    content: Sequence[bytes]
    size: int | None = None
    is_framed: bool = True
    start: int = 0
    validator: str | None = None
    error: Exception | None = None
    seconds: float = 0.0
    clock: FakeClock = field(default_factory=FakeClock)

    @override
    def chunks(self) -> Iterator[bytes]:
        for chunk in self.content:
            self.clock.time += self.seconds
            yield chunk
        if self.error is not None:
            raise self.error


@dataclass
class Parts(FakeExports):
    """Responds to requests of a part with a script; its last response is repeated."""

    script: Sequence[Body | Exception] = ()
    resumes: list[Resume | None] = field(default_factory=list)
    opened: threading.Event = field(default_factory=threading.Event)
    parts: list[tuple[str, int]] = field(default_factory=list)

    @override
    @contextmanager
    def open_part(self, job_id: str, part: int, resume: Resume | None = None) -> Iterator[PartBody]:
        self.parts.append((job_id, part))
        self.resumes.append(resume)
        self.opened.set()
        for key in ((PART, job_id), (PART, f"{job_id}-{part}")):
            if key in self.gates:
                assert self.gates[key].wait(30)
        response = self.script[min(len(self.resumes), len(self.script)) - 1]
        if isinstance(response, Exception):
            raise response
        yield replace(response, clock=self.clock)

    @property
    def offsets(self) -> list[int | None]:
        return [None if resume is None else resume.offset for resume in self.resumes]


@dataclass
class Run:
    """A download of the script, and what it did."""

    api: Parts
    policy: RetryPolicy
    file: io.BytesIO = field(default_factory=io.BytesIO)
    spaces: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)

    def __call__(self, job: ExportJob = JOB, tries: int | None = None) -> bytes:
        policy = replace(self.policy, tries=tries)
        size = Downloader(self.api, policy, self.spaces.append).download(
            job, "campaigns", 1, self.file, self.progress.append
        )
        content = self.file.getvalue()
        assert (size, self.file.tell()) == (len(content), 0)
        return content


def scripted(*script: Body | Exception) -> Run:
    clock = FakeClock()
    api = Parts(clock, script=script)
    api.put("x", status=JobStatus.COMPLETED)
    # Waits are as long as the server asks for.
    return Run(api, RetryPolicy(base_seconds=0, max_seconds=0, clock=clock))


def test_a_part_is_received_in_one_request() -> None:
    run = scripted(Body([b"ab", b"c"], 3))
    run.file.write(b"")
    assert run() == b"abc"
    assert (run.progress, run.spaces, run.api.offsets) == ([2, 3], [3], [None])
    assert run.api.parts == [("x", 1)]
    assert run.api.calls == []


def test_what_a_file_holds_already_is_removed() -> None:
    run = scripted(Body([b"abc"], 3))
    run.file.write(b"left over")
    assert run() == b"abc"


@pytest.mark.parametrize("tail", [Body([b"cd"], 4, start=2), Body([b"cd"], start=2)])
def test_a_download_resumes_with_the_validator_of_the_file(tail: Body) -> None:
    first = Body([b"a", b"b"], 4, validator='"1"', error=BROKEN)
    run = scripted(first, replace(tail, validator='"1"'))
    assert run() == b"abcd"
    assert run.api.resumes == [None, Resume(2, '"1"')]
    assert run.progress == [1, 2, 4]
    assert run.spaces == [4, 2 if tail.size else SPACE_STEP_BYTES]


def test_a_download_resumes_with_the_newest_validator() -> None:
    run = scripted(
        Body([b"a"], 3, validator='"1"', error=BROKEN),
        Body([b"b"], 3, start=1, validator='"2"', error=BROKEN),
        Body([b"c"], 3, start=2),
    )
    assert run() == b"abc"
    assert run.api.resumes[1:] == [Resume(1, '"1"'), Resume(2, '"2"')]


def test_without_validator_or_bytes_a_download_starts_over() -> None:
    run = scripted(
        Body([], 3, validator='"1"', error=BROKEN),
        Body([b"xy"], 3, error=BROKEN),
        Body([b"abc"], 3),
    )
    assert run() == b"abc"
    assert run.api.offsets == [None, None, None]


@pytest.mark.parametrize("changed", [Body([b"abc"], 3), ChangedFileError(LINK, "changed")])
def test_a_file_that_is_sent_from_its_start_replaces_what_was_received(
    changed: Body | ChangedFileError,
) -> None:
    run = scripted(
        Body([b"xyz"], 5, validator='"1"', error=BROKEN),
        changed,
        Body([b"abc"], 3),
    )
    assert run() == b"abc"
    assert run.api.offsets == [None, 3, *([None] if isinstance(changed, ApiError) else [])]


@pytest.mark.parametrize("times", [5, 6])
def test_a_file_may_be_started_over_five_times(times: int) -> None:
    run = scripted(
        Body([], 4, error=BROKEN),  # nothing is lost
        *[Body([b"x"], 4, error=BROKEN)] * times,
        Body([b"abcd"], 4),
    )
    if times == 5:
        assert run() == b"abcd"
        return
    with pytest.raises(DownloadError, match=r"broke off the file 6 times.*window_days"):
        run()
    assert len(run.api.resumes) == 8


@pytest.mark.parametrize("sizes", [(2, 3), (4, 3)])
def test_a_body_of_another_length_than_stated_is_incomplete(sizes: tuple[int, int]) -> None:
    sent, stated = sizes
    run = scripted(Body([b"x" * sent], stated), Body([b"abc"], 3))
    assert run() == b"abc"
    with pytest.raises(DownloadError, match=f"sent {sent} of {stated} bytes"):
        scripted(Body([b"x" * sent], stated))(tries=2)


class TestEmptyFiles:
    """A file without any byte."""

    @pytest.mark.parametrize(
        ("rows", "requests", "warns"), [(None, 2, True), (0, 1, False), (3, 2, False)]
    )
    def test_it_is_requested_once_more(
        self, rows: int | None, requests: int, caplog: pytest.LogCaptureFixture, *, warns: bool
    ) -> None:
        run = scripted(Body([], 0))
        began = run.api.clock.time
        with caplog.at_level(logging.WARNING, "demandbase_api.downloads"):
            assert run(replace(JOB, record_count=rows)) == b""
        assert len(run.api.resumes) == requests
        assert run.api.clock.time - began == (5 if requests == 2 else 0)
        assert ("is empty, twice and without a header" in caplog.text) == warns

    def test_it_may_have_been_written_in_the_meantime(self) -> None:
        assert scripted(Body([], 0), Body([b"abc"], 3))() == b"abc"

    def test_without_a_length_it_is_no_file(self) -> None:
        run = scripted(Body([], is_framed=False))
        with pytest.raises(DownloadError, match="whose length changed each time or is unknown"):
            run(replace(JOB, record_count=0), tries=1)
        assert len(run.api.resumes) == 5


class TestUnframedBodies:
    """Bodies that end with their connection, as truncated ones do."""

    def test_the_next_request_proves_the_end(self) -> None:
        body = Body([b"abc"], is_framed=False, validator='"1"')
        run = scripted(body, replace(body, content=[], start=3))
        assert run() == b"abc"
        assert run.api.offsets == [None, 3]

    def test_the_next_request_brings_the_rest(self) -> None:
        body = Body([b"ab"], is_framed=False, validator='"1"')
        rest = replace(body, content=[b"c"], start=2)
        run = scripted(body, rest, replace(rest, content=[], start=3))
        assert run() == b"abc"
        assert run.api.offsets == [None, 2, 3]

    def test_a_framed_rest_is_the_end(self) -> None:
        body = Body([b"ab"], is_framed=False, validator='"1"')
        run = scripted(body, Body([b"c"], 3, start=2))
        assert run() == b"abc"

    @pytest.mark.parametrize("sizes", [[300, 200], [200, 300]])
    def test_without_a_validator_it_must_have_the_same_length_twice(self, sizes: list[int]) -> None:
        run = scripted(*(Body([bytes(size)], is_framed=False) for size in (*sizes, 400, 400)))
        assert len(run()) == 400
        assert run.api.offsets == [None] * 4


class TestSpace:
    """Room for the file."""

    @pytest.mark.parametrize(("size", "checks"), [(None, 3), (10 * MIB, 1)])
    def test_it_is_checked_again_and_again_if_the_size_is_unknown(
        self, size: int | None, checks: int
    ) -> None:
        run = scripted(Body([bytes(MIB)] * 10, size))
        assert len(run()) == 10 * MIB
        assert run.spaces == ([SPACE_STEP_BYTES] * checks if size is None else [size])

    def test_it_ends_a_body_of_unknown_size(self) -> None:
        run = scripted(Body([bytes(MIB)] * 10))

        def check_space(size: int) -> None:
            run.spaces.append(size)
            if len(run.spaces) == 2:
                raise SpoolError("too little room")

        with pytest.raises(SpoolError):
            Downloader(run.api, run.policy, check_space).download(JOB, "campaigns", 1, run.file)
        assert len(run.file.getvalue()) == SPACE_STEP_BYTES

    def test_a_file_that_cannot_be_written_is_no_failed_download(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(SpoolError, match=r"no space is left.*spool_dir"):
            scripted(Body([b"a"], 3, error=full))()


class TestLinks:
    """Links that are rejected."""

    @pytest.mark.parametrize("operation", [LINK, PART])
    def test_a_new_link_may_work(self, operation: ApiOperation) -> None:
        run = scripted(NotFoundError(operation, "could not find it"), Body([b"abc"], 3))
        assert run() == b"abc"
        # Only the API itself can say that the job is not there.
        assert run.api.count(GET) == (operation is PART)

    @pytest.mark.parametrize("operation", [LINK, PART])
    def test_each_link_is_rejected(self, operation: ApiOperation) -> None:
        error = NotFoundError(operation, "could not find it", status=404, advice="Look elsewhere.")
        with pytest.raises(LinkRejectedError) as caught:
            scripted(error)(tries=3)
        said = str(caught.value)
        assert said.startswith("Part 1 of the export job x for campaigns is no longer there: ")
        assert said.endswith("If the error persists, ask Demandbase's support about the job.")
        assert "(HTTP 404)" in said
        assert "Look elsewhere" not in said
        assert (caught.value.job_id, caught.value.part, caught.value.entity) == (
            "x",
            1,
            "campaigns",
        )

    @pytest.mark.parametrize("seconds", [-1, 0, 1])
    def test_an_expired_job_is_gone(self, seconds: int) -> None:
        run = scripted(NotFoundError(PART, "could not find it"), Body([b"abc"], 3))
        expires_at = run.api.clock.utc() + timedelta(seconds=seconds)
        run.api.put("x", status=JobStatus.COMPLETED, expires_at=expires_at)
        if seconds > 0:
            assert run() == b"abc"
            return
        with pytest.raises(JobGoneError, match="is no longer there: it has expired"):
            run()
        assert len(run.api.resumes) == 1

    def test_an_unknown_job_is_gone(self) -> None:
        run = scripted(NotFoundError(PART, "could not find it"))
        run.api.found.clear()
        with pytest.raises(JobGoneError, match="Demandbase no longer knows it") as caught:
            run()
        assert "(HTTP 404)" in str(caught.value)
        assert len(run.api.resumes) == 1

    def test_a_job_that_cannot_be_read_may_have_its_file(self) -> None:
        run = scripted(NotFoundError(PART, "could not find it"), Body([b"abc"], 3))
        run.api.fail(GET, ServerError(GET, "had an internal error"), times=1)
        assert run() == b"abc"


class TestPatience:
    """How long a part is tried."""

    def test_tries_start_again_as_long_as_bytes_arrive(self) -> None:
        bytes_of = [Body([b"x" * 5000], 50_000, start=n, validator="1", error=BROKEN)
                    for n in range(0, 50_000, 5000)]  # fmt: skip
        last = replace(bytes_of[-1], error=None)
        run = scripted(*bytes_of[:-1], last)
        assert len(run(tries=2)) == 50_000

    def test_tries_that_bring_nothing_are_limited(self) -> None:
        run = scripted(Body([b"x" * 5000], 50_000, validator="1", error=BROKEN), BROKEN)
        with pytest.raises(DownloadError, match="broke the connection"):
            run(tries=2)
        assert len(run.api.resumes) == 4  # two that brought bytes, and two that did not

    @pytest.mark.parametrize(("size", "is_slow"), [(130 * 1024, False), (100 * 1024, True)])
    def test_a_download_that_stays_slow_is_given_up(self, size: int, *, is_slow: bool) -> None:
        count = 4
        pieces = [
            Body([bytes(size)], count * size, start=n * size, validator="1", error=BROKEN,
                 seconds=125)
            for n in range(count)
        ]  # fmt: skip
        run = scripted(*pieces[:-1], replace(pieces[-1], error=None))
        if is_slow:
            with pytest.raises(DownloadError, match="broke the connection"):
                run(tries=1)
            assert len(run.api.resumes) == 1
        else:
            assert len(run(tries=1)) == count * size

    def test_a_short_slow_try_is_no_reason_to_give_up(self) -> None:
        slow = Body([b"x"], 2, validator="1", error=BROKEN, seconds=100)
        run = scripted(slow, Body([b"y"], 2, start=1, seconds=100))
        assert run(tries=1) == b"xy"

    def test_there_is_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(downloads, "_MAX_ROUNDS", 3)
        pieces = [
            Body([b"x" * 5000], 50_000, start=n, validator="1", error=BROKEN)
            for n in range(0, 50_000, 5000)
        ]
        run = scripted(*pieces)
        with pytest.raises(DownloadError):
            run(tries=1)
        assert len(run.api.resumes) == 4

    @pytest.mark.parametrize(
        ("error", "kind", "code"),
        [
            (PermissionDeniedError(PART, "denied permission"), DownloadError, 1),
            (UnexpectedResponseError(LINK, "responded oddly"), DownloadError, 1),
            (ServerError(LINK, "had an internal error"), DownloadError, 1),
            (RateLimitedError(LINK, "asked for fewer calls"), DownloadError, 75),
            (CallBudgetError(PART, "allows no further call"), QuotaExceededError, 75),
        ],
    )
    def test_an_error_names_the_part(
        self, error: ApiError, kind: type[DemandbaseError], code: int
    ) -> None:
        with pytest.raises(kind) as caught:
            scripted(error)(tries=1)
        assert caught.value.exit_code == code
        if isinstance(caught.value, DownloadError):
            said = f"Part 1 of the export job x for campaigns could not be downloaded: {error}"
            assert str(caught.value) == said
            failed = caught.value
            assert (failed.job_id, failed.part, failed.entity) == ("x", 1, "campaigns")
            assert failed.kind == "export"


class File(io.BytesIO):
    """A file of the fetcher."""


@dataclass
class Fetch:
    """A fetcher and its files."""

    run: Run
    files: list[File] = field(default_factory=list)
    fetcher: PartFetcher = field(init=False)

    def __post_init__(self) -> None:
        downloader = Downloader(self.run.api, replace(self.run.policy, tries=1), self.check_space)
        self.fetcher = PartFetcher(downloader, self.open)
        self.checks: list[int] = []
        self.free: list[bool] = []

    def open(self) -> File:
        self.files.append(File())
        return self.files[-1]

    def check_space(self, size: int) -> None:
        self.checks.append(size)
        if self.free and not self.free.pop(0):
            raise SpoolError("too little room")

    def wait(self, job: ExportJob = JOB, entity: str = "campaigns", part: int = 1) -> bytes:
        file, size = self.fetcher.wait(job, entity, part, lambda _: None)
        content = file.read()
        assert len(content) == size
        return content


OTHER = replace(JOB, id="y")


class TestFetcher:
    """Parts that are downloaded ahead."""

    @pytest.fixture
    def fetch(self) -> Fetch:
        return Fetch(scripted(Body([b"abc"], 3)))

    def test_a_part_is_downloaded_ahead_once(self, fetch: Fetch) -> None:
        fetch.fetcher.start(JOB, "campaigns", 2)
        fetch.fetcher.start(JOB, "campaigns", 3)
        assert fetch.wait(part=2) == b"abc"
        assert fetch.run.api.parts == [("x", 2)]
        assert len(fetch.files) == 1
        assert fetch.wait(part=3) == b"abc"
        assert fetch.run.api.parts == [("x", 2), ("x", 3)]
        fetch.fetcher.start(JOB, "campaigns", 4)
        assert fetch.wait(part=4) == b"abc"
        assert len(fetch.files) == 3

    @pytest.mark.parametrize(
        ("job", "entity", "part", "is_kept"),
        [
            (OTHER, "people", 1, True),  # a stream that comes later
            (OTHER, "campaigns", 1, False),  # a job that was replaced
            (JOB, "campaigns", 2, False),
            (JOB, "people", 2, False),
        ],
    )
    def test_another_part_ends_what_is_not_needed_any_more(
        self, fetch: Fetch, job: ExportJob, entity: str, part: int, *, is_kept: bool
    ) -> None:
        fetch.fetcher.start(job, entity, part)
        until(lambda: fetch.checks)
        assert fetch.wait() == b"abc"
        ahead = fetch.files[0]
        assert ahead.closed == (not is_kept)
        if is_kept:
            assert fetch.wait(job, entity, part) == b"abc"
            assert len(fetch.files) == 2

    @pytest.mark.parametrize(
        ("is_alone", "free", "files"),
        [(False, [False, True], 2), (True, [False], 1), (False, [False, False], 2)],
    )
    def test_the_part_before_may_have_needed_the_space(
        self, fetch: Fetch, free: list[bool], files: int, *, is_alone: bool
    ) -> None:
        fetch.free = list(free)
        fetch.fetcher.start(JOB, "campaigns", 1, is_alone=is_alone)
        if free[-1]:
            assert fetch.wait() == b"abc"
        else:
            with pytest.raises(SpoolError):
                fetch.wait()
        assert [file.closed for file in fetch.files] == [True] * (files - 1) + [not free[-1]]
        assert len(fetch.files) == files

    def test_another_error_is_raised_at_once(self, fetch: Fetch) -> None:
        fetch.run.api.script = [PermissionDeniedError(PART, "denied permission")]
        fetch.fetcher.start(JOB, "campaigns", 1)
        with pytest.raises(DownloadError):
            fetch.wait()
        assert [file.closed for file in fetch.files] == [True]
        fetch.run.api.script = [Body([b"abc"], 3)]
        assert fetch.wait() == b"abc"

    @pytest.mark.parametrize("is_running", [True, False])
    def test_closing_ends_the_download(self, fetch: Fetch, *, is_running: bool) -> None:
        api = fetch.run.api
        gate = api.gate(PART, "x")
        fetch.fetcher.start(JOB, "campaigns", 1)
        assert api.opened.wait(10)
        if not is_running:
            gate.set()
            until(lambda: fetch.fetcher._ahead is not None and fetch.fetcher._ahead._has_ended)  # noqa: SLF001
            assert not fetch.files[0].closed
        fetch.fetcher.close()
        assert fetch.files[0].closed != is_running  # a thread closes the file that it writes
        gate.set()
        until(lambda: fetch.files[0].closed)
        fetch.fetcher.close()
        fetch.fetcher.start(JOB, "campaigns", 2)
        assert fetch.wait(part=2) == b"abc"

    def test_a_stopped_download_receives_nothing_more(self, fetch: Fetch) -> None:
        written: list[bytes] = []

        class Counted(File):
            def write(self, content: object) -> int:
                written.append(bytes(content))  # type: ignore[call-overload]
                return super().write(content)  # type: ignore[arg-type]

        api, file = fetch.run.api, Counted()
        api.script = [Body([b"a", b"b", b"c"], 3)]
        fetch.fetcher = PartFetcher(Downloader(api, fetch.run.policy), lambda: file)
        gate = api.gate(PART, "x")
        fetch.fetcher.start(JOB, "campaigns", 1)
        assert api.opened.wait(10)
        fetch.fetcher.close()
        gate.set()
        until(lambda: file.closed)
        assert written == [b"a"]

    def test_progress_is_shown_while_a_part_is_waited_for(
        self, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(downloads, "PROGRESS_SECONDS", 0.01)
        api, seen = fetch.run.api, list[int]()
        half, rest = threading.Event(), threading.Event()
        api.script = [GatedBody([b"abc", b"de"], 5, gate=rest, reached=half)]
        fetch.fetcher.start(JOB, "campaigns", 1)
        assert half.wait(10)

        def progress(received: int) -> None:
            seen.append(received)
            rest.set()

        file, size = fetch.fetcher.wait(JOB, "campaigns", 1, progress)
        assert (file.read(), size) == (b"abcde", 5)
        assert seen[0] == 3


@dataclass
class GatedBody(Body):
    """A body whose last chunk waits."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    @override
    def chunks(self) -> Iterator[bytes]:
        *first, last = self.content
        yield from first
        self.reached.set()
        assert self.gate.wait(10)
        yield last


def until(condition: Callable[[], object]) -> None:
    """Wait for a thread."""
    event = threading.Event()
    for _ in range(2000):
        if condition():
            return
        event.wait(0.005)
    raise AssertionError("waited in vain")
