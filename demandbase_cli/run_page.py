"""The page of a run: one HTML file without outside resources, from the run's report.

All texts of the report are escaped (see ``html.py``) and none is in an attribute. The page has no
script, and its policy forbids browsers to load anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ApiOperation
from demandbase_api.jobs.job_timeline import JobPhase
from demandbase_api.models import JobStatus, ListAction
from demandbase_api.run_report import ExportRun, ImportRun, Outcome, ReportedExport, ReportedExports
from demandbase_api.words import counted, duration, size
from demandbase_cli.html import document, element, style
from demandbase_cli.run_charts import MAX_ROWS, Axis, job_row, legend, rate_chart, seconds_in
from demandbase_cli.run_reports import rows_rejected
from tap_demandbase.config import CONFIG as TAP_SETTINGS
from target_demandbase.config import CONFIG as TARGET_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from demandbase_cli.html import Child
    from demandbase_cli.run_reports import Job, Run

_LONG_FACT = 40
_TO_DO = {each.name.lower(): f"to {each}" for each in ApiOperation}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_ENDS = {
    Outcome.COMPLETE: "complete",
    Outcome.FAILED: "failed",
    Outcome.INTERRUPTED: "interrupted",
    None: "ended",
}


def run_page(run: Run) -> str:
    """Return the page of a run."""
    heading = f"{'Export' if isinstance(run.report, ExportRun) else 'Import'} {_ENDS[run.outcome]}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{heading}: {run.plugin}, {run.name}"),
        style(resources.files("demandbase_cli").joinpath("run_page.css").read_text("utf-8")),
    )
    body = element(
        "body",
        element(
            "main",
            _header(run, heading),
            *(part for part in (_over_time(run), _streams(run)) if part is not None),
            *(part for part in (_rejected(run), _jobs(run), _settings(run)) if part is not None),
        ),
        element(
            "footer",
            element(
                "p",
                f"Made from the report of the run by demandbase runs {run.name} --html. Times are "
                "those of the machine that ran it, in UTC. There are no record values in it.",
            ),
        ),
    )
    return document(head, body, lang="en")


def _header(run: Run, heading: str) -> Element:
    report = run.report
    about = " · ".join(
        text
        for text in (
            f"{run.plugin} {report.version or ''}".strip(),
            f"API {report.api}" if report.api else "",
            "dry run: nothing was sent" if isinstance(report, ImportRun) and report.dry_run else "",
        )
        if text
    )
    return element(
        "header",
        element("p", about, class_="over"),
        element("h1", element("span", class_=f"dot {_ENDS[run.outcome]}"), heading),
        element("p", _says(run), class_="says"),
        element("dl", *(_fact(name, value) for name, value in _facts(run)), class_="facts"),
    )


def _says(run: Run) -> str:
    if run.report.error:
        return run.report.error
    parts = [
        counted(len(run.streams), "stream"),
        f"{counted(run.rows_sent, 'row')} sent",
        *([f"{run.rows_rejected:,} rejected"] if run.rows_rejected else []),
    ]
    return f"{', '.join(parts)}, in {duration(run.report.seconds)}."


def _fact(name: str, value: Element | str) -> Element:
    is_long = isinstance(value, str) and len(value) > _LONG_FACT
    return element(
        "div", element("dt", name), element("dd", value), class_="wide" if is_long else None
    )


def _facts(run: Run) -> list[tuple[str, Element | str]]:
    report = run.report
    jobs = [job for _, job in run.jobs]
    facts: list[tuple[str, Element | str]] = [
        ("Run", element("code", run.name)),
        ("Started", _moment(run.started_at)),
        ("Duration", duration(report.seconds)),
        ("Rows sent", f"{run.rows_sent:,}"),
        ("Jobs", _jobs_in_words(jobs)),
    ]
    if isinstance(report, ImportRun):
        facts.append(("Rows rejected", f"{run.rows_rejected:,}"))
        if report.list_action not in {None, ListAction.NOOP}:
            facts.append(("List action", report.list_action or ""))
        if report.rows_accepted_means:
            facts.append(("Accepted rows", report.rows_accepted_means))
    else:
        facts.append(("Downloaded", size(sum(own.bytes for own in report.streams.values()))))
        if report.calls_left:
            left = (
                f"{calls:,} {_TO_DO.get(name, name)}" for name, calls in report.calls_left.items()
            )
            facts.append(("Calls left that day", ", ".join(left)))
    return facts


def _jobs_in_words(jobs: Sequence[Job]) -> str:
    if not jobs:
        return "none"
    adopted = sum(bool(job.adopted) for job in jobs)
    new = len(jobs) - adopted
    return ", ".join(
        f"{number:,} {kind}" for number, kind in ((new, "new"), (adopted, "adopted")) if number
    )


def _moment(moment: datetime) -> Element:
    return element(
        "time", f"{moment:%Y-%m-%d %H:%M:%S} UTC", datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    )


def _over_time(run: Run) -> Element | None:
    jobs = [(stream, job) for stream, job in run.jobs if job.phases]
    samples = run.report.rows_over_time
    if not jobs and not samples:
        if not run.jobs:
            return None
        return _section(
            "Over time",
            element(
                "p",
                "The report is of an earlier version, which did not record when jobs ran.",
                class_="note",
            ),
        )
    jobs.sort(key=lambda each: each[1].phases[0].begin)
    ends = [each.end for _, job in jobs for each in job.phases]
    axis = Axis.of(max([run.report.seconds, *ends]))
    rows = []
    if samples:
        read = counted(samples[-1].rows, "row")
        rows.append(_row(["Rows per second"], f"{read} read", rate_chart(samples, axis), ""))
    for stream, job in jobs[:MAX_ROWS]:
        span = duration(job.phases[-1].end - job.phases[0].begin)
        chart = job_row(job.phases, axis, f"{stream}, job {job.id}")
        rows.append(_row([stream], _id_in_words(job), chart, span))
    rows.append(element("li", element("span"), axis.labels(), element("span"), class_="axis"))
    left_out = len(jobs) - MAX_ROWS
    return _section(
        "Over time",
        legend([job for _, job in jobs]),
        element("ol", *rows, class_="timeline"),
        element("p", f"{counted(left_out, 'more job')}: see the table.", class_="note")
        if left_out > 0
        else None,
        element(
            "p",
            "Time since the beginning of the run, which learns of a change in Demandbase when "
            "it polls.",
            class_="note",
        ),
    )


def _id_in_words(job: Job) -> str:
    status = None if job.status == JobStatus.COMPLETED else job.status
    return ", ".join([*(["adopted"] if job.adopted else []), *([status] if status else []), job.id])


def _row(label: list[str], small: str, chart: Element, last: str) -> Element:
    return element(
        "li",
        element(
            "span",
            *(element("b", each) for each in label),
            element("small", small),
            class_="label",
        ),
        chart,
        element("span", last, class_="last"),
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table.

    Args:
        heading: Its heading.
        cells: Its cells.
        kind: Class of its cells.
    """

    heading: str
    cells: Sequence[Child]
    kind: str | None = None

    @property
    def is_empty(self) -> bool:
        return all(cell in {None, "", "0"} for cell in self.cells)


def _streams(run: Run) -> Element:
    names, own = list(run.streams), list(run.streams.values())
    errors = [
        element("li", element("b", name), " ", each.error)
        for name, each in run.streams.items()
        if isinstance(each, ReportedExports) and each.error
    ]
    if not own:
        return _section("Streams", element("p", "No stream was read.", class_="note"))
    columns = [_Column("Stream", [element("b", name) for name in names])]
    if isinstance(run.report, ExportRun):
        exports = list(run.report.streams.values())
        columns += [
            _Column("Outcome", [_outcome(each.outcome) for each in exports]),
            _numbers("Rows sent", [each.rows_sent for each in exports]),
            _numbers("Windows", [each.windows or None for each in exports]),
            _Column("Jobs", [_jobs_in_words(each.jobs) for each in exports]),
            _sizes([each.bytes for each in exports]),
            _durations("Duration", [each.seconds or None for each in exports]),
        ]
    else:
        imports = list(run.report.streams.values())
        accepted = [each.rows_accepted for each in imports]
        columns += [
            _numbers("Read", [each.records_read for each in imports]),
            _numbers("Superseded", [each.rows_deduplicated for each in imports]),
            _numbers("Sent", [each.rows_sent for each in imports]),
            _numbers("Imported", [each.rows_succeeded for each in imports]),
            _numbers("Accepted", accepted),
            _numbers("Rejected", [rows_rejected(each) for each in imports]),
            _numbers("Deletions skipped", [each.deletions_skipped for each in imports]),
            _Column("Jobs", [_jobs_in_words(each.jobs) for each in imports]),
        ]
    return _section(
        "Streams",
        element("ul", *errors, class_="errors") if errors else None,
        _table("Streams", columns, keeps={"Rows sent", "Read", "Sent", "Rejected"}),
    )


def _outcome(text: str) -> Element:
    kind = text if text in {*Outcome} else ""
    return element("span", text, class_=f"outcome {kind.replace(' ', '-')}")


def _rejected(run: Run) -> Element | None:
    if not isinstance(run.report, ImportRun) or not run.rows_rejected:
        return None
    kinds = [(name, each) for name, own in run.report.streams.items() for each in own.rejected_by]
    return _section(
        "Rejected rows",
        _table(
            "Rejected rows",
            [
                _Column("Stream", [element("b", name) for name, _ in kinds]),
                _Column("Field", [each.field or "" for _, each in kinds]),
                _Column("Reason", [each.type or "unknown" for _, each in kinds]),
                _numbers("Rows", [each.rows for _, each in kinds]),
                _Column("Share", [_share(each.rows / run.rows_rejected) for _, each in kinds]),
            ],
        ),
        element(
            "p",
            "The rows are kept in rejects_path; ",
            element("code", f"demandbase rejects {run.name}"),
            " names the files.",
            class_="note",
        ),
    )


def _share(share: float) -> Element:
    width = f"{100 * share:.1f}%"
    bar = element("rect", class_="share", x="0", y="3", width=width, height="8", rx="2")
    percent = element("title", f"{100 * share:.0f} %")
    return element("svg", percent, bar, class_="bar", height="14", role="img")


def _jobs(run: Run) -> Element | None:
    if not run.jobs:
        return None
    jobs = [job for _, job in run.jobs]
    exports = [job for job in jobs if isinstance(job, ReportedExport)]
    columns = [
        _Column("Stream", [element("b", stream) for stream, _ in run.jobs]),
        _Column("Job", [_job_cell(job) for job in jobs], "id"),
        _Column("Status", [_status(job) for job in jobs]),
    ]
    if exports:
        columns += [
            _numbers("Rows", [job.rows_read for job in exports]),
            _sizes([job.bytes for job in exports]),
        ]
    else:
        columns.append(_numbers("Rows", [getattr(job, "rows", None) for job in jobs]))
    for heading, phases in (
        ("Waiting", (JobPhase.WAITING,)),
        ("Running", (JobPhase.RUNNING,)),
        ("Uploading", (JobPhase.UPLOADING,)),
        ("Downloading", (JobPhase.DOWNLOADING,)),
        ("Reading", (JobPhase.READING,)),
    ):
        times = [seconds_in(job.phases, *phases) for job in jobs]
        columns.append(_durations(heading, times))
    if not any(job.phases for job in jobs):
        columns += [
            _durations("Waited", [getattr(job, "waited_seconds", None) for job in jobs]),
            _durations("Read", [getattr(job, "read_seconds", None) for job in jobs]),
            _durations("Duration", [getattr(job, "seconds", None) for job in jobs]),
        ]
    return _section("Jobs", _table("Jobs", columns, keeps={"Rows"}))


def _job_cell(job: Job) -> Element:
    days = _days(job) if isinstance(job, ReportedExport) else None
    return element(
        "span", element("code", job.id), element("small", days) if days is not None else None
    )


def _status(job: Job) -> str:
    return ", ".join(each for each in (job.status, "adopted" if job.adopted else None) if each)


def _days(job: ReportedExport) -> str | None:
    if job.days is None:
        return None
    first, last = job.days
    return f"{first or 'the oldest'} to {last or 'today'}"


def _settings(run: Run) -> Element | None:
    settings = run.report.settings
    if not settings:
        return None
    schema = TAP_SETTINGS if isinstance(run.report, ExportRun) else TARGET_SETTINGS
    rules = schema["properties"]
    defaults = {
        name: value
        for name, value in settings.items()
        if "default" in rules.get(name, {}) and rules[name]["default"] == value
    }
    chosen = {name: value for name, value in settings.items() if name not in defaults}
    return _section(
        "Settings",
        _settings_table("Settings", chosen) if chosen else None,
        element(
            "details",
            element("summary", f"{counted(len(defaults), 'setting')} with the default value"),
            _settings_table("Settings with the default value", defaults),
        )
        if defaults
        else None,
    )


def _settings_table(caption: str, settings: dict[str, Any]) -> Element:
    names = sorted(settings)
    return _table(
        caption,
        [
            _Column("Setting", [element("b", name) for name in names]),
            _Column("Value", [element("code", _value(settings[name])) for name in names]),
        ],
    )


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _numbers(heading: str, numbers: Sequence[int | None]) -> _Column:
    return _Column(heading, ["" if each is None else f"{each:,}" for each in numbers], "number")


def _sizes(numbers: Sequence[int]) -> _Column:
    return _Column("Size", [size(each) if each else "" for each in numbers], "number")


def _durations(heading: str, seconds: Sequence[float | None]) -> _Column:
    return _Column(heading, ["" if each is None else duration(each) for each in seconds], "number")


def _table(
    caption: str, columns: Sequence[_Column], *, keeps: frozenset[str] | set[str] = frozenset()
) -> Element:
    """Return a table; columns that say nothing are left out.

    Args:
        caption: What it shows, for screen readers.
        columns: Its columns.
        keeps: Headings of the columns that are never left out.
    """
    shown = [each for each in columns if each.heading in keeps or not each.is_empty]
    rows = range(len(columns[0].cells))
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element(
                "thead",
                element(
                    "tr",
                    *(element("th", each.heading, scope="col", class_=each.kind) for each in shown),
                ),
            ),
            element(
                "tbody",
                *(
                    element(
                        "tr",
                        *(
                            element(
                                "th" if column is shown[0] else "td",
                                column.cells[row],
                                scope="row" if column is shown[0] else None,
                                class_=column.kind,
                                data_label=column.heading,
                            )
                            for column in shown
                        ),
                    )
                    for row in rows
                ),
            ),
        ),
        class_=f"table {caption.lower().replace(' ', '-')}",
    )


def _section(title: str, *children: Child) -> Element:
    return element("section", element("h2", title), *children)
