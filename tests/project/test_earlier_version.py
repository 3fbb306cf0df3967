"""State, journal, job names and configuration that version 0.1.0 (797e768) wrote still work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions

pytestmark = pytest.mark.slow

WRITTEN = json.loads(Path(__file__).with_name("earlier_version.json").read_text(encoding="utf-8"))
ORIGINS = {"v1": SandboxOptions(port=18761), "uapi": SandboxOptions(uapi_port=18762)}
"""The journal knows an import by the API's address, too: the fixtures need it to be the same."""

NAMES = ("person_id", "email", "first_name", "last_name")
ROWS: list[dict[str, Any]] = [
    {
        "type": "SCHEMA",
        "stream": "people",
        "schema": {"type": "object", "properties": {name: {"type": "string"} for name in NAMES}},
        "key_properties": ["person_id"],
    },
    *(
        {
            "type": "RECORD",
            "stream": "people",
            "record": dict(
                zip(NAMES, (f"n{row}", f"n{row}@a.example", "Ada", "Lovelace"), strict=True)
            ),
        }
        for row in range(3)
    ),
    {"type": "STATE", "value": {"rows": 3}},
]


def connection(sandbox: Sandbox, api: str) -> dict[str, str]:
    if api == "v1":
        return {"api_url": sandbox.url, "access_token": sandbox.token}
    return {
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }


def run(
    command: str, folder: Path, config: dict[str, Any], *arguments: str, stdin: str = ""
) -> list[dict[str, Any]]:
    """Run a command that must succeed; return the messages or states that it wrote."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command)), "--config", "config.json", *arguments],
        input=stdin, capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("finished_windows", [0, 2, 3])
@pytest.mark.parametrize("api", ["v1", "uapi"])
def test_the_tap_continues_from_a_state(api: str, finished_windows: int, tmp_path: Path) -> None:
    written = WRITTEN[api]
    state = written["states"][finished_windows]
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    with Sandbox(SandboxOptions()) as sandbox:
        config = {**written["tap_config"], **connection(sandbox, api), "api": api}
        config["spool_dir"] = str(tmp_path / "spool")
        messages = run("tap-demandbase", tmp_path, config, "--state", "state.json")
        asked = [request.body for request in sandbox.requests("createExportJob")]
    # Bodies hold uapi's job names: a digest of the request, which is shorter now, and a mark.
    accounts, *windows = written["export_jobs"]
    for request, before in zip(asked, [accounts, *windows[finished_windows:]], strict=True):
        name, earlier_name = request.pop("jobName", ""), before.get("jobName", "")
        assert earlier_name.startswith(name.rpartition(" ")[0])
        assert request == {key: before[key] for key in before if key != "jobName"}
    bookmarks = messages[-1]["value"]["bookmarks"]
    for stream, bookmark in written["states"][-1]["bookmarks"].items():
        assert bookmarks[stream].keys() == bookmark.keys()
        assert bookmarks[stream]["last_job"].keys() >= bookmark["last_job"].keys()
        assert {**bookmarks[stream], "last_job": None} == {**bookmark, "last_job": None}


@pytest.mark.parametrize("has_spool_dir", [True, False])
@pytest.mark.parametrize("api", ["v1", "uapi"])
def test_the_target_resumes_the_imports_in_a_journal(
    api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_spool_dir: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "spool"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    written = WRITTEN[api]
    entry = written["journal"]["entry"]
    file = tmp_path / "spool" / written["journal"]["path"]
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(entry), encoding="utf-8")
    with Sandbox(ORIGINS[api]) as sandbox:
        config = {**written["target_config"], **connection(sandbox, api)}
        config |= {"rejects_path": str(tmp_path / "rejects")}
        if has_spool_dir:
            config["spool_dir"] = str(tmp_path / "spool")
        stdin = "".join(f"{json.dumps(message)}\n" for message in ROWS)
        assert run("target-demandbase", tmp_path, config, stdin=stdin) == [{"rows": 3}]
        # This sandbox does not know the job, so the rows are imported again, under the same digest.
        assert any(entry["job_id"] in request.path for request in sandbox.requests())
        [job] = sandbox.import_jobs()
        name = job["file_name" if api == "v1" else "dataImportName"]
        assert name.startswith(f"people-{entry['fingerprint']}")
    assert not list(tmp_path.rglob("target-demandbase-ledger/*.json"))
