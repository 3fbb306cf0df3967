from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import api_url
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.import_journal import ImportJournal, JournalEntry, Phase
from demandbase_api.models import ExportRequest
from tests.api.state_folders import export_journal, import_journal
from tests.cli.conftest import Demandbase

REQUEST = ExportRequest("accounts", ("name",))


@pytest.fixture
def exports(config: dict[str, Any]) -> ExportJournal:
    return export_journal(Path(config["state_dir"]) / "tap-demandbase-jobs", api_url(config))


@pytest.fixture
def imports(config: dict[str, Any]) -> ImportJournal:
    folder = Path(config["state_dir"]) / "target-demandbase-ledger"
    return import_journal(folder, "r1", api_url(config))


def entry(job_id: str | None = "7", name: str = "f1") -> JournalEntry:
    began = "2026-01-02T03:04:05+00:00"
    return JournalEntry(name, "people", "people", "upsert", 3, began, Phase.UPLOADED, job_id)


def test_an_empty_journal_is_said(demandbase: Demandbase) -> None:
    out = demandbase("journal").out
    assert "No run has left export jobs behind." in out
    assert "No run has left imports behind." in out
    assert demandbase("journal", "--json").json == {"exports": [], "imports": []}


def test_what_runs_have_left_behind_is_listed(
    demandbase: Demandbase, exports: ExportJournal, imports: ImportJournal
) -> None:
    exports.begin(REQUEST, "5")
    imports.put(entry())
    assert demandbase("journal", "--json").json["imports"] == []  # its run has not ended
    imports.close()
    found = demandbase("journal", "--json").json
    assert [(line["job"], line["is"]) for line in found["exports"]] == [("5", "begun")]
    assert found["imports"] == [
        {
            "id": "7",
            "is": "uploaded",
            "stream": "people",
            "entity": "people",
            "operation": "upsert",
            "rows": 3,
            "began_at": "2026-01-02T03:04:05Z",
        }
    ]
    words = demandbase("journal").words
    assert "5 begun" in words
    assert "7 uploaded people people upsert 3 2026-01-02 03:04:05Z" in words


def test_a_job_that_is_forgotten_is_not_waited_for(
    demandbase: Demandbase, exports: ExportJournal, imports: ImportJournal, config: dict[str, Any]
) -> None:
    exports.begin(REQUEST, "5")
    imports.put(entry())
    imports.put(entry(None, "f2"))
    imports.close()
    assert "The export 5 is given up" in demandbase("journal", "forget", "5").out
    assert "The import 7 is given up" in demandbase("journal", "forget", "7").out
    assert demandbase("journal", "forget", "f2", "--json").json["kind"] == "import"
    assert "given up" in demandbase("journal", "--json").out
    later = export_journal(Path(config["state_dir"]) / "tap-demandbase-jobs", api_url(config))
    assert later.begun(REQUEST) == ()
    assert later.is_unusable(REQUEST, "5")
    assert imports.given_up() == {"7"}
    assert imports.find("f1") is None
    found = demandbase("journal", "--json").json
    assert {line["is"] for line in (*found["exports"], *found["imports"])} == {"given up"}


def test_what_is_not_in_the_journal_cannot_be_forgotten(
    demandbase: Demandbase, imports: ImportJournal
) -> None:
    imports.put(entry())
    done = demandbase("journal", "forget", "7", code=1)  # its run has not ended
    assert "No entry of the journal is about 7" in done.err


def test_a_damaged_entry_ends_in_a_sentence(demandbase: Demandbase, config: dict[str, Any]) -> None:
    folder = Path(config["state_dir"]) / "target-demandbase-ledger"
    folder.mkdir(parents=True)
    (folder / "f1.r0.json").write_text("{")
    assert "f1.r0.json cannot be read" in demandbase("journal", code=1).err


def test_options_may_come_before_the_subcommand(
    demandbase: Demandbase, exports: ExportJournal, config_file: str
) -> None:
    exports.begin(REQUEST, "5")
    done = demandbase("journal", "--json", "--config", config_file, "forget", "5", sources=())
    assert done.json["is"] == "given up"
