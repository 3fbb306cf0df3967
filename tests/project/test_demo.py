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


ROWS = {
    "accounts": (200, 201),
    "activities": (2000, 2000),
    "buying_groups": (40, 40),
    "campaigns": (20, 20),
    "opportunities": (150, 150),
    "people": (600, 600),
}


def test_the_demo_ends_in_a_before_and_after() -> None:
    # Settings for a real tenant in the environment must not affect the demo.
    environment = {**os.environ, "TAP_DEMANDBASE_ENTITIES": "[]", "MELTANO_ENVIRONMENT": "prod"}
    done = subprocess.run(
        [sys.executable, str(RUN)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown, page = done.stdout, Path(done.stdout.splitlines()[-1])
    for stream, (first, second) in ROWS.items():
        assert re.search(rf"^  {stream} +{first:,} +{second:,}$", shown, re.MULTILINE), shown
    assert re.search(r"^  company1.example  engagement_score  \S+ +91.5$", shown, re.MULTILINE)
    assert re.search(r"^  newcomer.example  segment +no account +said", shown, re.MULTILINE)
    adopted = re.findall(r"^  [a-z_]+ +[0-9a-f-]{36}$", shown, re.MULTILINE)
    assert len(adopted) >= 2, shown
    assert "Next, with a tenant of your own" in shown
    assert "deprecat" not in (shown + done.stderr).lower()
    own = [line for line in shown.splitlines() if str(page.parent) not in line]
    assert max(map(len, own)) <= 100
    html = page.read_text(encoding="utf-8")
    assert "Export complete" in html
    assert f"{len(adopted)} adopted" in html
    assert "Import complete" in (page.parent / "import.html").read_text(encoding="utf-8")
    for file in (*page.parent.glob("*.log"), *page.parent.glob("*.html")):
        text = file.read_text(encoding="utf-8")
        assert "eyJhbGciOiJub25lIn0" not in text, file.name
        assert "deprecat" not in text.lower(), file.name
    shutil.rmtree(page.parent)


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
