from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_brings_rows_both_ways_and_ends_with_a_table() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^stream +job +parts +rows +seconds$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^accounts .* 1 +200 ", done.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^→ accounts .* 1 +3 ", done.stdout, re.MULTILINE)) == 1
    assert len(re.findall(r"^accounts .* 1 +201 ", done.stdout, re.MULTILINE)) == 1
    folder = Path(re.findall(r"The files are in (.*):$", done.stdout, re.MULTILINE)[0])
    assert (folder / "warehouse.duckdb").stat().st_size > 0
    activities = (folder / "first" / "activities.jsonl").read_text(encoding="utf-8")
    assert len(activities.splitlines()) == 2000
    for log in folder.glob("*.log"):
        assert "eyJhbGciOiJub25lIn0" not in log.read_text(encoding="utf-8"), log.name
