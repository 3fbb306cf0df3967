from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = ROOT / "demo" / "run.py"


def test_the_demo_moves_rows_in_both_directions_and_prints_a_table() -> None:
    # Settings for a real tenant in the environment must not affect the demo.
    environment = {**os.environ, "TAP_DEMANDBASE_ENTITIES": "[]", "MELTANO_ENVIRONMENT": "prod"}
    done = subprocess.run(
        [sys.executable, str(RUN)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^stream +job +parts +rows +seconds$", done.stdout, re.MULTILINE)
    # Two pipelines, each with a state of its own: one export for each.
    assert len(re.findall(r"^accounts .* 1 +200 ", done.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^→ accounts .* 1 +3 ", done.stdout, re.MULTILINE)) == 1
    assert len(re.findall(r"^accounts .* 1 +201 ", done.stdout, re.MULTILINE)) == 1
    folder = Path(re.findall(r"The files are in (.*):$", done.stdout, re.MULTILINE)[0])
    assert (folder / "warehouse.duckdb").stat().st_size > 0
    activities = (folder / "first" / "activities.jsonl").read_text(encoding="utf-8")
    assert len(activities.splitlines()) == 2000
    for log in folder.glob("*.log"):
        assert "eyJhbGciOiJub25lIn0" not in log.read_text(encoding="utf-8"), log.name
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    command = ["ps", "-eo", "args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT / "demo", folder / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    return Path(shutil.copy(ROOT / "meltano.yml", folder))


def test_a_failed_step_names_its_log(tmp_path: Path) -> None:
    copied(tmp_path).write_text("plugins: [", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "demo" / "run.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.search(r"The demo failed. Step 1 ended with exit code \d+: see (.*)$", done.stderr)
    assert found, done.stderr
    assert Path(found[1].strip()).stat().st_size > 0


def test_a_stopped_demo_leaves_nothing_running(tmp_path: Path) -> None:
    copied(tmp_path)
    demo = subprocess.Popen(
        [sys.executable, str(tmp_path / "demo" / "run.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    assert demo.stdout.read(2) == "1."
    demo.send_signal(signal.SIGTERM)
    _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 128 + signal.SIGTERM
    assert "The demo was stopped." in errors
    assert processes_of(tmp_path) == []
