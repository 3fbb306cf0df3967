from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import requests

COMMAND = str(Path(sys.executable).with_name("demandbase-sandbox"))


def test_serve_prints_where_it_is_and_ends_on_sigterm() -> None:
    with subprocess.Popen([COMMAND, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())
        headers = {"Authorization": f"Bearer {address['token']}"}
        answer = requests.get(f"{address['url']}/export/v1/entities", headers=headers, timeout=10)
        assert len(answer.json()["entities"]) == 6
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_run_hands_on_settings_and_exit_code() -> None:
    script = (
        "import os, sys; "
        "sys.exit(7 if os.environ['TAP_DEMANDBASE_ACCESS_TOKEN'] and "
        "os.environ['TARGET_DEMANDBASE_API_URL'].startswith('http://127.0.0.1') else 1)"
    )
    done = subprocess.run([COMMAND, "run", "--", sys.executable, "-c", script], check=False)
    assert done.returncode == 7


def test_a_bad_fault_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('[{"operation": "getExportJob", "effect": "explode"}]')
    done = subprocess.run(
        [COMMAND, "serve", "--faults", str(faults)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "rule 1 has an unknown effect" in done.stderr
