from __future__ import annotations

import json
from pathlib import Path

from demandbase_sandbox import Sandbox
from tests.cli.conftest import Demandbase


def test_the_catalog_is_printed_or_written_to_a_new_file(
    demandbase: Demandbase, sandbox: Sandbox, tmp_path: Path
) -> None:
    printed = demandbase("catalog").json
    names = [entry["tap_stream_id"] for entry in printed["streams"]]
    assert names == sorted(names)
    assert "accounts" in names
    path = tmp_path / "catalog.json"
    done = demandbase("catalog", "--output", str(path))
    assert f"{len(names)} streams were written to {path}" in done.out
    assert json.loads(path.read_text()) == printed
    assert (
        "exists, and may have your selection"
        in demandbase("catalog", "--output", str(path), code=1).err
    )
    assert demandbase("catalog", "--output", str(path), "--force", "--json").json["streams"]
    assert not sandbox.requests("createExportJob")


def test_a_file_that_cannot_be_written_is_named(demandbase: Demandbase, tmp_path: Path) -> None:
    done = demandbase("catalog", "--output", str(tmp_path / "no" / "catalog.json"), code=1)
    assert "cannot be written: No such file or directory" in done.err
