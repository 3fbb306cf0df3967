"""From the tap's batch files, the target uploads the same as from its records."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tap_demandbase.tap import TapDemandbase
from target_demandbase.target import TargetDemandbase

pytestmark = pytest.mark.thorough


def uploads(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    **more: Any,  # noqa: ANN401
) -> tuple[str, list[bytes]]:
    """Return what the tap writes, and the files that the target uploads for it."""
    sandbox.reset()
    config = {"api_url": sandbox.url, "access_token": sandbox.token}
    capsys.readouterr()
    TapDemandbase(config={**config, "entities": ["accounts"], **more}).sync_all()
    messages = capsys.readouterr().out
    own = {"spool_dir": str(folder / "spool"), "rejects_path": str(folder / "rejects")}
    own["unknown_fields"] = "drop"
    TargetDemandbase(config={**config, **own}).listen(io.StringIO(messages))
    return messages, [sandbox.uploaded(job["id"]) for job in sandbox.import_jobs()]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_target_uploads_the_same_from_files_as_from_records(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path, compression: str
) -> None:
    _, from_records = uploads(sandbox, capsys, tmp_path)
    encoding = {"format": "jsonl", "compression": compression}
    storage = {"root": str(tmp_path / "batches")}
    setting = {"encoding": encoding, "storage": storage, "batch_size": 70}
    messages, from_files = uploads(sandbox, capsys, tmp_path, batch_config=setting)
    assert messages.count('"BATCH"') == 3
    assert '"RECORD"' not in messages
    assert from_files == from_records
    assert sum(file.count(b"\n") for file in from_files) > 200
