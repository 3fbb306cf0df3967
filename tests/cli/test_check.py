from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.cli.conftest import Demandbase


def creations(sandbox: Sandbox) -> int:
    return len(sandbox.requests("createExportJob")) + len(sandbox.requests("createImportJob"))


def test_a_check_creates_no_job_and_names_its_calls(
    demandbase: Demandbase, sandbox: Sandbox, api: str
) -> None:
    found = demandbase("check", "--json").json
    assert {line["is"] for line in found["checks"]} == {"ok"}
    assert {line["side"] for line in found["checks"]} == {"export", "import"}
    assert creations(sandbox) == 0
    assert found["calls"]["list the export jobs"] == 1
    assert found["calls"]["list the import jobs"] == 1
    listed = {"v1": "listExportJobs", "uapi": "fetchExportJobsInfo"}[api]
    assert len(sandbox.requests(listed)) == 1
    words = demandbase("check").words
    assert "import jobs ok import jobs can be listed" in words
    assert "Calls that were spent" in words


def test_each_failure_is_a_line_and_the_others_are_checked(
    demandbase: Demandbase, sandbox: Sandbox, config: dict[str, Any]
) -> None:
    fault = Fault("listImportJobs", Effect.STATUS, status=403, times=None)
    sandbox.add_fault(fault)
    Path(config["rejects_path"]).write_text("")
    done = demandbase("check", "--json", code=1)
    assert "2 of 10 checks failed: import jobs, import folder." in done.err
    failed = [line for line in done.json["checks"] if line["is"] == "failed"]
    assert "HTTP 403" in failed[0]["says"]
    assert "The folder for rejected rows cannot be written" in failed[1]["says"]


def test_the_source_of_imports_is_checked_without_an_import(
    demandbase: Demandbase, sandbox: Sandbox, api: str, config_file: str, config: dict[str, Any]
) -> None:
    def says(code: int = 0, **settings: str) -> str:
        Path(config_file).write_text(json.dumps({**config, **settings}))
        done = demandbase("check", "--imports", "--json", code=code)
        found = (line["says"] for line in done.json["checks"] if line["check"] == "source")
        return str(next(found))

    if api == "v1":
        assert says() == "not with this API"
        return
    assert says() == "CSV for accounts, activities, opportunities, people"
    assert says(source="Webinars") == "Webinars for activities, people"
    assert says(1, source="Hubspot") == (
        "Demandbase lists no source Hubspot (near: HubSpot): set source to one of CSV, HubSpot, "
        "Webinars."
    )
    # An import does not need the list for the default.
    sandbox.add_fault(Fault("listImportSources", Effect.STATUS, status=403, times=None))
    assert says().startswith("CSV, the default; the list of sources cannot be read: Demandbase den")
    assert says(1, source="Webinars").startswith("Demandbase denied permission when asked to list")


def test_wrong_credentials_end_a_side(
    demandbase: Demandbase, config_file: str, config: dict[str, Any]
) -> None:
    name = "access_token" if "access_token" in config else "client_secret"
    path = Path(config_file)
    path.write_text(path.read_text().replace(config[name], "wrong-secret"))
    done = demandbase("check", "--exports", code=1)
    assert "1 of 1 checks failed: export jobs." in done.err
    assert "HTTP 40" in done.words
    assert "wrong-secret" not in done.out + done.err


def test_a_side_can_be_chosen(demandbase: Demandbase) -> None:
    found = demandbase("check", "--imports", "--json").json
    assert {line["side"] for line in found["checks"]} == {"import"}


def test_a_host_that_breaks_connections_is_asked_once_for_each_side(
    demandbase: Demandbase, sandbox: Sandbox
) -> None:
    sandbox.add_fault(Fault("*", Effect.DROP_AFTER, times=None))
    done = demandbase("check", "--json", code=1)
    assert [line["side"] for line in done.json["checks"]] == ["export", "import"]
