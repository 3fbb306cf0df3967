"""The page of a run, parsed as a browser parses it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from demandbase_api.errors import DemandbaseError
from demandbase_api.run_report import RowSample
from demandbase_api.words import duration, short, size
from demandbase_cli.run_charts import MAX_ROWS, Axis, rates
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.cli.conftest import Demandbase, Load
from tests.cli.test_runs import sync_accounts
from tests.target.conftest import people, person

VOID = {"meta", "link", "br"}
NAME = "20260102T030405Z-abcdef"
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")

    def titles(self, beginning: str) -> list[str]:
        """The tooltips that begin with a text."""
        return [text for tag, text in self.texts if tag == "title" and text.startswith(beginning)]

    def phases(self) -> list[str]:
        """The kinds of the phases that are drawn."""
        classes = (
            attributes.get("class") or "" for tag, attributes in self.elements if tag == "rect"
        )
        return [each.split()[-1] for each in classes if each.startswith("phase")]

    def tables(self) -> list[str]:
        return [text for tag, text in self.texts if tag == "caption"]


def checked(html: str) -> Page:
    """Check what every page must be."""
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "base", "form", "a"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert "//" not in (value or ""), (tag, name, value)
            if name in {"href", "src"}:
                assert value == "data:,"
    [css] = [text for tag, text in page.texts if tag == "style"]
    assert "url(" not in css
    assert "@import" not in css
    assert "prefers-color-scheme: dark" in css
    policy = [each["content"] for tag, each in page.elements if "http-equiv" in each]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    images = [each for tag, each in page.elements if tag == "svg" and "aria-hidden" not in each]
    assert all(each["role"] == "img" for each in images)
    return page


Keep = Callable[..., None]


@pytest.fixture
def keep(config: dict[str, Any]) -> Keep:
    """Keeps a report as the plugins do."""

    def write(plugin: str, **members: Any) -> None:  # noqa: ANN401
        folder = Path(config["rejects_path"])
        if plugin == "tap-demandbase":
            folder = Path(config["state_dir"]) / "tap-demandbase-reports"
        folder.mkdir(parents=True, exist_ok=True)
        report = {"run": NAME, "started_at": "2026-01-02T03:04:05Z", "seconds": 10.0, **members}
        (folder / f"report-{NAME}.json").write_text(json.dumps(report))

    return write


def exports(**members: Any) -> dict[str, Any]:  # noqa: ANN401
    known = {"outcome": "complete", "started_at": None, "seconds": 1.0, "rows_sent": 0}
    return {**known, "windows": 0, "bytes": 0, "jobs": [], **members}


def export_job(**members: Any) -> dict[str, Any]:  # noqa: ANN401
    known = {"id": "job-1", "created_at": None, "completed_at": None, "days": None}
    figures = {"waited_seconds": 1.0, "read_seconds": 0.5, "bytes": 2048, "rows_read": 7}
    return {**known, **figures, **members}


def imports(**members: Any) -> dict[str, Any]:  # noqa: ANN401
    counted = ("records_read", "rows_staged", "rows_deduplicated", "rows_sent", "rows_succeeded")
    zeros = dict.fromkeys((*counted, "rows_rejected", "deletions_skipped"), 0)
    return {**zeros, "rejected_by": [], "jobs": [], **members}


def test_the_page_of_an_export_that_ran(
    demandbase: Demandbase, sandbox: Sandbox, config_file: str, tmp_path: Path
) -> None:
    sync_accounts(sandbox, config_file)
    path = tmp_path / "run.html"
    done = demandbase("runs", "latest", "--html", str(path))
    assert f"of tap-demandbase is in {path}" in done.out
    html = path.read_text()
    page = checked(html)
    [run] = demandbase("runs", "--json").json
    [job] = sandbox.export_jobs()
    assert run["run"] in page.text
    assert "Export complete" in page.text
    assert "1 stream, 200 rows sent, in " in page.text
    assert job["id"] in page.text
    assert page.phases()[-1] == "reading"
    assert "running" in page.phases()
    [row] = page.titles("accounts, job ")
    assert "running in Demandbase " in row
    assert page.titles("Rows per second over the run: 200 rows, at most ")
    assert page.tables() == ["Streams", "Jobs", "Settings", "Settings with the default value"]
    for secret in (sandbox.token, sandbox.client_secret):
        assert secret not in html
    assert "***" in page.text


def test_the_page_of_an_import_that_ran(
    demandbase: Demandbase, sandbox: Sandbox, load: Load, api: str
) -> None:
    rows = [person(1), person(2, lead_score="Secret"), person(3)]
    load(people(), *rows, on_reject="continue")
    html = demandbase("runs", "--html", "-").out
    page = checked(html)
    assert "Import complete" in page.text
    assert "1 rejected" in page.text
    assert "Rejected rows" in page.tables()
    assert "lead_score" in page.text
    assert "uploading" in page.phases()
    assert page.phases()[-1] == "running"
    assert ("row outcomes unknown" in page.text) == (api == "uapi")
    for secret in (sandbox.token, sandbox.client_secret, "Secret"):
        assert secret not in html


def test_the_page_of_an_export_that_failed(
    demandbase: Demandbase, sandbox: Sandbox, config_file: str
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, times=None))
    with pytest.raises(DemandbaseError) as caught:
        sync_accounts(sandbox, config_file)
    page = checked(demandbase("runs", "--html", "-").out)
    assert "Export failed" in page.text
    # The run and its stream say it; job that failed and the one that replaced it are drawn.
    assert page.text.count(str(caught.value).split(":", 1)[0]) >= 1
    assert len(page.titles("accounts, job ")) == 2
    assert "failed" in page.text


def test_all_texts_are_escaped(demandbase: Demandbase, keep: Keep) -> None:
    phase = {"phase": EVIL, "begin": 0.0, "end": 1.0}
    job = {"id": EVIL, "status": EVIL, "seconds": 1.0, "rows": 1, "phases": [phase]}
    stream = imports(
        rows_rejected=1, rejected_by=[{"field": EVIL, "type": EVIL, "rows": 1}], jobs=[job]
    )
    keep(
        "target-demandbase",
        api=EVIL,
        version=EVIL,
        outcome=EVIL,
        error=f"</style>{EVIL}\x1b[2J\u202e",
        list_action=EVIL,
        rows_accepted_means=EVIL,
        settings={EVIL: {EVIL: EVIL}, "</title>": EVIL},
        streams={f'"{EVIL}': stream, "</td>&amp;": imports()},
    )
    html = demandbase("runs", NAME, "--html", "-").out
    assert "<script" not in html
    page = checked(html)
    assert page.text.count(EVIL) > 10
    assert "\\x1b[2J\\u202e" in page.text
    assert "</td>&amp;" in page.text
    assert "Import ended" in page.text  # an outcome that is unknown


def test_the_page_of_an_import_that_was_interrupted(demandbase: Demandbase, keep: Keep) -> None:
    sentence = "Stopped by SIGTERM: the next run continues from the last state that was written."
    phases = [{"phase": "uploading", "begin": 1.0, "end": 2.5}]
    job = {"id": "job-7", "status": "pending", "adopted": True, "seconds": None, "rows": 5}
    keep(
        "target-demandbase",
        outcome="interrupted",
        error=sentence,
        dry_run=False,
        streams={"scores": imports(records_read=5, jobs=[{**job, "phases": phases}])},
    )
    page = checked(demandbase("runs", "--html", "-").out)
    assert "Import interrupted" in page.text
    assert sentence in page.text
    assert "adopted, pending, job-7" in page.text
    assert f"{sentence}\n" in demandbase("runs", NAME).out
    assert page.titles("uploading: 1.5 s, from 1 s to 2.5 s")


def test_the_page_of_a_run_without_streams(demandbase: Demandbase, keep: Keep) -> None:
    keep("tap-demandbase", streams={})
    page = checked(demandbase("runs", "--html", "-").out)
    assert "No stream was read." in page.text
    assert "Export ended" in page.text
    assert page.tables() == []


@pytest.mark.parametrize(
    ("outcome", "heading"),
    [("complete", "complete"), ("not begun", "failed"), ("interrupted", "interrupted")],
)
def test_the_page_of_an_earlier_version_s_run(
    demandbase: Demandbase, keep: Keep, outcome: str, heading: str
) -> None:
    job = export_job(adopted=False, days=[None, "2026-01-01"])
    keep("tap-demandbase", streams={"accounts": exports(outcome=outcome, jobs=[job])})
    page = checked(demandbase("runs", "--html", "-").out)
    assert f"Export {heading}" in page.text
    assert "earlier version" in page.text
    assert "the oldest to 2026-01-01" in page.text
    assert page.phases() == []
    assert "Waited" in page.text


def test_a_run_that_failed_before_its_streams_is_listed_as_failed(
    demandbase: Demandbase, keep: Keep
) -> None:
    begun = {"accounts": exports(outcome="not begun")}
    keep("tap-demandbase", outcome="failed", streams=begun)
    [line] = demandbase("runs", "--json").json
    assert line["says"] == "failed, accounts not begun"
    keep("tap-demandbase", outcome="failed", streams={"accounts": exports(outcome="failed")})
    [line] = demandbase("runs", "--json").json
    assert line["says"] == "accounts failed"


def test_jobs_beyond_the_maximum_are_only_in_the_table(demandbase: Demandbase, keep: Keep) -> None:
    phase = {"phase": "running", "begin": 0.0, "end": 1.0}
    jobs = [export_job(id=f"job-{number}", phases=[phase]) for number in range(MAX_ROWS + 3)]
    keep("tap-demandbase", streams={"accounts": exports(jobs=jobs)})
    page = checked(demandbase("runs", "--html", "-").out)
    assert len(page.titles("accounts, job ")) == MAX_ROWS
    assert "3 more jobs: see the table." in page.text
    assert f"job-{MAX_ROWS + 2}" in page.text


def test_a_page_that_cannot_be_written_is_one_sentence(
    demandbase: Demandbase, keep: Keep, tmp_path: Path
) -> None:
    keep("tap-demandbase", streams={})
    path = tmp_path / "none" / "run.html"
    done = demandbase("runs", "--html", str(path), code=1)
    assert (
        done.err == f"{path} cannot be written: No such file or directory. Choose another file.\n"
    )
    assert "exclude each other" in demandbase("runs", "--html", "-", "--json", code=2).err
    assert "directory" in demandbase("runs", "--html", str(tmp_path), code=2).err


def test_without_a_run_there_is_no_page(demandbase: Demandbase) -> None:
    assert "latest is no run that is kept" in demandbase("runs", "--html", "-", code=1).err


class TestCharts:
    """The figures behind the charts."""

    @pytest.mark.parametrize(
        ("seconds", "step"), [(0.0, 0.1), (3.5, 1), (12.0, 5), (299.0, 60), (7200.0, 1800)]
    )
    def test_ticks_are_few_and_round(self, seconds: float, step: float) -> None:
        axis = Axis.of(seconds)
        assert axis.step == step
        assert 1 <= len(axis.ticks) <= 6

    def test_a_run_of_weeks_has_ticks_too(self) -> None:
        assert len(Axis.of(40 * 86400.0).ticks) == 6

    def test_rates_add_up_to_the_rows(self) -> None:
        axis = Axis.of(60.0)
        samples = [(0.0, 0), (10.0, 0), (10.0, 500), (30.0, 1500), (60.0, 1500)]
        found = rates([RowSample(*each) for each in samples], axis)
        assert round(sum(found)) == 1500  # each part is a second
        assert set(found[:10]) | set(found[30:]) == {0.0}
        assert found[20] == pytest.approx(50.0)

    def test_figures_in_words(self) -> None:
        assert [duration(each) for each in (0, 0.0301, 0.44, 12.4, 61, 200, 7500)] == [
            "0 s", "30 ms", "0.4 s", "12 s", "1 min 1 s", "3 min 20 s", "2 h 5 min",
        ]  # fmt: skip
        assert [size(each) for each in (12, 1500, 2_340_000, 5 * 10**12)] == [
            "12 bytes", "1.5 kB", "2.3 MB", "5.0 TB",
        ]  # fmt: skip
        assert [short(each) for each in (0.5, 400, 1500, 20_000, 3_000_000)] == [
            "0.5", "400", "1.5k", "20k", "3M",
        ]  # fmt: skip
        assert duration(3600) == "1 h"
        assert not re.search(r"\d{7}", duration(10**6))
