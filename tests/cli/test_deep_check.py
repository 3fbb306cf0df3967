"""``demandbase check --deep``: what a tenant says about the assumptions, and what it does not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import Api
from demandbase_api.models import Entity, EntityField, ExportRequest
from demandbase_api.ports import Apis
from demandbase_cli import settings
from demandbase_cli.deep.collect import sample_day
from demandbase_cli.deep.evidence import Evidence, Verdict, time_form
from demandbase_cli.deep.guesses import GUESSES
from demandbase_cli.deep.sample import Sample, date_shape, form_of
from demandbase_cli.deep.sample_guesses import SAMPLE_GUESSES
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.cli.conftest import Demandbase, Load
from tests.documents import ROOT
from tests.sandbox_time import SandboxTime
from tests.target.conftest import people, person

pytestmark = pytest.mark.thorough

DEEP = ("check", "--deep", "--json")
DAY = "2025-06-03"
LISTS = {"v1": "listExportJobs", "uapi": "fetchExportJobsInfo"}
FIELDS = ("activity_id", "activity_type", "activity_at", "duration_seconds", "value", "subject")
ROWS = [
    ("act-1", "visit", "2025-06-02T23:59:59Z", "7", "1.5", "Meier GmbH"),
    ("act-2", "visit", "2025-06-03T00:00:00Z", "8", "2.5", 'He said "no"'),
    ("act-3", "call", "2025-06-04T23:59:59Z", None, "3", "Löwe AG"),
    ("act-4", "call", "2025-06-05T00:00:00Z", "9", None, None),
]


@pytest.fixture(autouse=True)
def no_waits(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for plugin in ("_Tap", "_Target"):
        monkeypatch.setattr(getattr(settings, plugin), "clock", SandboxTime(sandbox))


@pytest.fixture
def few_activities(sandbox: Sandbox) -> None:
    sandbox.put_rows("activities", [dict(zip(FIELDS, row, strict=True)) for row in ROWS])


def found(document: dict[str, Any], name: str) -> tuple[str, str]:
    [line] = [line for line in document["findings"] if line["assumption"] == name]
    return line["is"], line["found"]


def test_each_assumption_has_a_line_and_nothing_is_created(
    demandbase: Demandbase, sandbox: Sandbox, api: str
) -> None:
    done = demandbase(*DEEP)
    lines = done.json["findings"]
    expected = [guess.name for guess in GUESSES if Api(api) in guess.apis]
    assert [line["assumption"] for line in lines] == expected
    assert {line["api"] for line in lines} == {api}
    changing = {"POST", "PUT", "DELETE", "PATCH"}
    changed = [each for each in sandbox.requests() if each.method in changing]
    assert {each.operation for each in changed} <= {"createToken"}


def test_the_calls_are_said_before_and_are_not_exceeded(
    demandbase: Demandbase, load: Load, api: str
) -> None:
    load(people(), person(1))
    done = demandbase(*DEEP, "--allow-job", "activities", "--day", DAY)
    said: Counter[str] = Counter()
    for name, number in re.findall(r"(?:at most: |, )([a-z ]+?) (\d+)", done.err):
        said[name] += int(number)
    assert ("left today" in done.err) == (api == "uapi")
    spent = dict(done.json["calls"])
    spent.pop("provide an exported file", None)
    assert {name: number for name, number in spent.items() if number > said[name]} == {}
    assert said["create an export job"] == 2


@pytest.mark.usefixtures("few_activities")
def test_an_allowed_export_answers_what_only_a_file_can(
    demandbase: Demandbase, sandbox: Sandbox, config_file: str, api: str
) -> None:
    options = {"activities": {"replication_key": "activity_at"}}
    Path(config_file).write_text(
        json.dumps({**json.loads(Path(config_file).read_text()), "stream_options": options})
    )
    done = demandbase(*DEEP, "--exports", "--allow-job", "activities", "--day", DAY)
    assert "Waiting for the export of activities, up to job_timeout_seconds." in done.err
    assert len(sandbox.requests("createExportJob")) == 1
    assert len(sandbox.export_jobs()) == 1

    def line(name: str) -> tuple[str, str]:
        return found(done.json, f"{name} (activities)")

    says = "dates of the rows of an export of two days: first day 1, second day 1"
    assert line("date-ranges") == ("as assumed", f"{says}; both ends are included")
    assert line("bounding-date")[0] == "as assumed"
    assert "spelt as the name" in line("csv-header")[1]
    assert line("csv-format")[0] == "as assumed"
    assert "9999-99-99T99:99:99Z" in line("csv-dates")[1]
    digits = 3 if api == "uapi" else 1  # ids are whole numbers there
    says = f"cells of whole-number fields: digits {digits}"
    assert line("whole-numbers") == ("as assumed", says)
    assert line("csv-numbers")[1] in {
        "cells of number fields: with decimals 2",
        "cells of number fields: digits 1, with decimals 1",
    }
    assert line("key-values")[0] == "as assumed"
    assert line("list-lag")[0] == "as assumed"
    assert line("csv-nulls")[0] == "as assumed"
    assert line("empty-exports")[0] == "not seen"
    if api == "v1":
        assert line("record-count")[0] == "as assumed"
        assert "the size of the job is the bytes of the files" in line("file-size")[1]


def test_a_day_without_data_shows_what_an_empty_export_is(demandbase: Demandbase) -> None:
    done = demandbase(*DEEP, "--exports", "--allow-job", "activities", "--day", "1999-01-01")
    empty = ("as assumed", "an export without rows has a header")
    assert found(done.json, "empty-exports (activities)") == empty
    assert found(done.json, "date-ranges (activities)")[0] == "not seen"


def test_no_value_id_name_link_or_credential_is_printed(
    demandbase: Demandbase, sandbox: Sandbox, load: Load, api: str
) -> None:
    load(people(), person(1), person(2, lead_score="no number"), on_reject="continue")
    message = "Row 3: the value Grace Hopper is invalid"
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, message=message))
    load(people(), person(3))
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, message=message))
    streams = ("people", "activities")
    allowed = [word for name in streams for word in ("--allow-job", name)]
    demandbase("check", "--deep", "--exports", "--allow-job", "accounts", "--day", DAY)
    done = demandbase("check", "--deep", *allowed, "--day", DAY)
    assert "API Assumption Is Found" in done.words
    assert "Row 3:" in done.out
    assert "key-values (people)" in done.out
    tokens = {sandbox.token, sandbox.client_secret, *sandbox.issued_tokens()}
    assert not [token for token in tokens if token in done.out + done.err]
    jobs = [*sandbox.export_jobs(), *sandbox.import_jobs()]
    secrets = {
        "Grace",
        "Hopper",
        "Economic buyer",
        "HubSpot",
        "http:",
        *(str(job.get("jobName", "Grace")) for job in jobs),
    }
    secrets |= {job["id"] for job in jobs if api == "v1"}
    assert not [secret for secret in secrets if secret in done.out]
    rows = [row for stream in streams for row in sandbox.rows(stream)]
    values = {cell for row in rows for cell in row.values() if cell and len(cell) > 5}
    assert len(values) > 1000
    assert not values & set(re.findall(r"[^\s\"',;:()]+", done.out))


def test_a_tenant_that_is_otherwise_is_named(
    demandbase: Demandbase, sandbox: Sandbox, apis: Apis, api: str
) -> None:
    name = {"v1": "name", "uapi": "{Account}.name"}[api]
    for _ in range(2):
        apis.exports.submit(ExportRequest("accounts", (name,)))
        sandbox.clock.advance(10)
    odd = {"status": "zapped", "jobStatus": "zapped", "surprise": 1}
    for effect, members in (
        (Effect.ALTER, {"items": {}, "members": odd}),
        (Effect.LOCAL_TIMES, {"seconds": 7200}),
        (Effect.OLDEST_FIRST, {}),
    ):
        sandbox.add_fault(Fault(LISTS[api], effect, times=None, **members))
    sandbox.add_fault(Fault("*", Effect.HEADERS, headers={"Date": ""}, times=None))
    done = demandbase(*DEEP, "--exports")
    says = found(done.json, "job-members")[1]
    assert "not documented: " in says
    assert "surprise (number)" in says
    assert found(done.json, "job-statuses") == ("differs", "zapped 2")
    for name in ("job-members", "time-zones", "server-clock", "list-order"):
        assert found(done.json, name)[0] == "differs"


def test_an_empty_list_is_described(demandbase: Demandbase, sandbox: Sandbox, api: str) -> None:
    says = "an empty list is written as list 1"
    assert found(demandbase(*DEEP).json, "empty-lists") == ("as assumed", says)
    sandbox.add_fault(Fault(LISTS[api], Effect.ALTER, nulls=("jobs", "data"), times=None))
    says = "an empty list is written as null 1"
    assert found(demandbase(*DEEP, "--exports").json, "empty-lists") == ("differs", says)


@pytest.mark.parametrize("api", ["uapi"])  # the sandbox has these options over uapi only
def test_labels_and_ranges_without_their_end_are_recognized(
    tmp_path: Path, demandbase: Demandbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SandboxOptions(
        label_headers=True, to_date_inclusive=False, pending_seconds=0, processing_seconds=0
    )
    with Sandbox(options) as other:
        monkeypatch.setattr(settings._Tap, "clock", SandboxTime(other))  # noqa: SLF001
        other.put_rows("activities", [dict(zip(FIELDS, row, strict=True)) for row in ROWS])
        path = tmp_path / "other.json"
        config = {
            "api_url": other.uapi_url,
            "client_id": other.client_id,
            "client_secret": other.client_secret,
            "state_dir": str(tmp_path / "other"),
        }
        path.write_text(json.dumps(config))
        arguments = (*DEEP, "--exports", "--allow-job", "activities", "--day", DAY)
        done = demandbase(*arguments, sources=(str(path),))
    verdict, says = found(done.json, "date-ranges (activities)")
    assert (verdict, "an end is excluded" in says) == ("seen", True)
    assert "spelt as the label" in found(done.json, "csv-header (activities)")[1]


def test_imports_of_earlier_runs_are_evidence(demandbase: Demandbase, load: Load, api: str) -> None:
    load(people(), person(1))
    if api == "v1":
        load(people(), person(2, email="Secret Value"), on_reject="continue")
    done = demandbase(*DEEP, "--imports")
    number = 2 if api == "v1" else 1
    assert found(done.json, "import-statuses") == ("as assumed", f"completed {number}")
    if api == "uapi":
        assert "1 of 1 import job have" in found(done.json, "import-names")[1]
        return
    assert found(done.json, "row-error-list")[0] == "as assumed"
    says = found(done.json, "row-error-form")[1]
    assert says.startswith("1 error for 1 rejected row; the lowest row number is 1; ")
    assert "row_number 1" in says


@pytest.mark.parametrize("api", ["uapi"])
def test_sources_and_labels_are_compared(
    demandbase: Demandbase, sandbox: Sandbox, config_file: str
) -> None:
    Path(config_file).write_text(
        json.dumps({**json.loads(Path(config_file).read_text()), "source": "HubSpot"})
    )
    sandbox.map_source("HubSpot", "person", {"Mail": "email", "Secret Label": "no_field"})
    other: dict[str, Any] = {"items": {"label": "Email"}, "members": {"label": "EMAIL"}}
    sandbox.add_fault(Fault("fetchFields", Effect.ALTER, times=None, **other))
    done = demandbase(*DEEP, "--imports")
    says = "accounts: 2 sources, CSV is one; activities: 3 sources, CSV is one"
    assert found(done.json, "import-sources")[1].startswith(says)
    verdict, says = found(done.json, "source-fields")
    assert (verdict, says.endswith("; people: 1 of 2")) == ("differs", True)
    verdict, says = found(done.json, "documented-labels")
    assert (verdict, "in another case: Email, " in says) == ("differs", True)
    assert "Secret" not in done.out


def test_a_failure_is_a_line_and_its_exit_code_is_kept(
    demandbase: Demandbase, sandbox: Sandbox, api: str
) -> None:
    quota: dict[str, Any] = {"code": "429-101"} if api == "uapi" else {"status": 429}
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, times=None, **quota))
    done = demandbase(*DEEP, "--exports", "--allow-job", "accounts", code=75)
    assert "1 of 5 checks failed: export job of accounts." in done.err
    assert done.json["checks"][-1]["is"] == "failed"
    assert len(done.json["findings"]) > 10


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--allow-job", "accounts"), 2, "--allow-job needs --deep"),
        (("--deep", "--imports", "--allow-job", "accounts"), 2, "--allow-job needs --deep"),
        (("--deep", "--day", "2d"), 2, "--day needs --allow-job"),
        (("--deep", "--allow-job", "acounts"), 1, "export job of acounts"),
    ],
)
def test_what_cannot_be_is_said(
    demandbase: Demandbase, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = demandbase("check", *arguments, code=code)
    assert says in done.err
    if code == 1:
        assert "There is no stream acounts of an entity (near: accounts)." in done.words


@pytest.mark.parametrize("api", ["uapi"])
def test_a_stream_that_needs_ids_is_not_exported(demandbase: Demandbase, sandbox: Sandbox) -> None:
    done = demandbase("check", "--deep", "--allow-job", "buying_groups", code=1)
    assert "needs the ids of all accounts" in done.words
    assert not sandbox.export_jobs()


FIELD = re.compile(r"`([a-z-]+)`(\*?)")


def test_the_page_says_of_each_assumption_how_it_is_tested() -> None:
    text = (ROOT / "docs" / "assumptions.md").read_text(encoding="utf-8")
    tables = text[text.index("## Both APIs") : text.index("## Published documents")]
    rows = [line.split(" | ") for line in tables.splitlines() if line.startswith("| ")]
    tests = [row[2] for row in rows if row[2] != "Test"]
    assert len(tests) > 40
    known = {**{guess.name: "" for guess in GUESSES}, **{each.name: "*" for each in SAMPLE_GUESSES}}
    used: set[str] = set()
    for test in tests:
        named = {name: star for name, star in FIELD.findall(test) if name in known}
        assert named or test.startswith("By hand") or "demandbase check" in test, test
        assert named.items() <= known.items(), test
        used |= named.keys()
    assert used == known.keys()


def test_the_day_is_a_tuesday_whose_data_has_arrived() -> None:
    for today in (date(2026, 1, day) for day in range(1, 15)):
        day = sample_day(today)
        assert day.weekday() == 1
        assert 8 <= (today - day).days <= 14


@pytest.mark.parametrize(
    ("kind", "cell", "form"),
    [
        ("integer", "12", "digits"),
        ("integer", "-3", "digits"),
        ("integer", "12.0", "digits and .0"),
        ("integer", "216.54", "with decimals"),
        ("number", "1.2E+5", "with an exponent"),
        ("number", "1,234.5", "with thousands separators"),
        ("number", "€ 3", "of another form"),
        ("boolean", "True", "False or True"),
        ("boolean", "0", "0 or 1"),
        ("boolean", "Grace", "of another form"),
        ("date", "2026-01-31", "9999-99-99"),
        ("date-time", "Jan 5, 2026 at Grace's", "aaa 9, 9999 aa aaaaaaa"),
        ("date-time", "x" * 41, "of another form"),
        ("string", "Grace", None),
    ],
)
def test_a_cell_becomes_a_form(kind: str, cell: str, form: str | None) -> None:
    assert form_of(kind, cell) == form


def test_a_shape_has_no_letters_of_the_cell() -> None:
    assert set(date_shape("Grace Hopper 1906-12-09T")) <= set("9aT- ")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-01-01T00:00:00.123Z", "with Z"),
        ("2026-01-01T00:00:00+02:00", "with an offset"),
        ("2026-01-01 00:00:00", "without a zone"),
        ("1767225600", "of another form"),
    ],
)
def test_a_time_has_a_form(text: str, form: str) -> None:
    assert time_form(text) == form


def sample(*parts: bytes, key: tuple[str, ...] = ("id",)) -> Sample:
    fields = {
        "id": EntityField("id", "String", api_name="{Account}.id", label="Account ID"),
        "size": EntityField("size", "Long", api_name="{Account}.size", label="Employees"),
    }
    kinds: dict[str, dict[str, Any]] = {
        "id": {"type": ["null", "string"]},
        "size": {"type": ["null", "integer"]},
    }
    it = Sample(
        Entity("accounts", "", tuple(fields.values())),
        ExportRequest("accounts"),
        kinds,
        fields,
        key,
        None,
        None,
    )
    for part in parts:
        it.read(io.BytesIO(part))
    return it


def verdict(it: Sample, name: str) -> tuple[Verdict, str]:
    [guess] = [guess for guess in SAMPLE_GUESSES if guess.name == name]
    finding = guess.find(it, Evidence(settings._Tap.clock))  # noqa: SLF001
    return finding.verdict, finding.says


NAMES = b"{Account}.id,{Account}.size\r\n"


@pytest.mark.parametrize(
    ("parts", "name", "expected", "says"),
    [
        ([NAMES + b"a,1\r\n"], "csv-header", Verdict.AS_ASSUMED, "spelt as the name 2"),
        ([b"Account ID,Employees\na,1\n"], "csv-header", Verdict.AS_ASSUMED, "the label 2"),
        ([b"Employees,Account ID\n1,a\n"], "csv-header", Verdict.AS_ASSUMED, "not in the order"),
        ([b"account id,Employees\na,1\n"], "csv-header", Verdict.DIFFERS, "in another case 1"),
        ([b"a,1\nb,2\n"], "csv-header", Verdict.DIFFERS, "of no field 2"),
        ([b"\xef\xbb\xbf" + NAMES], "csv-format", Verdict.AS_ASSUMED, "CRLF; a byte order mark"),
        ([NAMES + b"a,1,2\r\n"], "csv-format", Verdict.DIFFERS, "1 row of another width"),
        ([NAMES + b'a"b",1\r\n"'], "csv-format", Verdict.DIFFERS, "not strict CSV"),
        ([NAMES + b"\xff,1\r\n"], "csv-format", Verdict.DIFFERS, "not UTF-8"),
        ([gzip.compress(NAMES)], "file-size", Verdict.AS_ASSUMED, "1 of them gzip"),
        ([gzip.compress(NAMES)[:-4]], "csv-format", Verdict.DIFFERS, "a damaged gzip file"),
        ([NAMES + b"a,216.54\r\n"], "whole-numbers", Verdict.DIFFERS, "with decimals 1"),
        ([NAMES + b"a,NULL\r\nN/A,\r\n"], "csv-nulls", Verdict.DIFFERS, "“NULL” 1"),
        ([NAMES + b"N/A,\r\n"], "csv-nulls", Verdict.SEEN, "1 empty cell in 1 row"),
        ([b""], "empty-exports", Verdict.AS_ASSUMED, "a file without bytes"),
        ([NAMES + b"a,1\r\n", NAMES + b"a,2\r\n"], "key-values", Verdict.DIFFERS, "id: 1 of 2"),
        ([NAMES + b"a,1\r\nA,2\r\n"], "key-values", Verdict.AS_ASSUMED, "1 differ"),
        ([NAMES + b",1\r\n"], "key-values", Verdict.DIFFERS, "1 lack a part"),
        ([NAMES + b"7,1\r\n8,1\r\n"], "numeric-ids", Verdict.AS_ASSUMED, "in 2 of 2 rows"),
        ([NAMES + b"acc-7,1\r\n"], "numeric-ids", Verdict.DIFFERS, "in 0 of 1 row"),
    ],
)
def test_a_file_is_described(parts: list[bytes], name: str, expected: Verdict, says: str) -> None:
    it = sample(*parts)
    found, words = verdict(it, name)
    assert (found, says in words) == (expected, True), words


def test_the_columns_of_a_large_file_are_described_by_their_cells() -> None:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["{Account}.id", "{Account}.size"])
    rows.writerows((f"acc-{number}", number) for number in range(5_000))
    it = sample(gzip.compress(text.getvalue().encode()))
    assert (it.rows, len(it.keys)) == (5_000, 5_000)
    assert it.plain_bytes == len(text.getvalue())
