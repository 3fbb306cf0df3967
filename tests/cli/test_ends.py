"""How the command ends: signals, outputs that break, hosts that do not respond."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Demandbase
from tests.command_process import CommandProcess, run_command, written
from tests.http_server import Reply, http_server


@pytest.fixture
def api() -> str:
    """One API: the end of a command does not depend on it."""
    return "v1"


BLOCKED = """
import os, signal, sqlite3, threading
import demandbase_cli.cli, demandbase_cli.commands

def run(_):
    # The main thread is in C, as while a host name is resolved: it runs no handler of a signal.
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    sqlite3.connect(":memory:").execute(
        "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n"
    )

demandbase_cli.commands.run = run
demandbase_cli.cli.main()
"""


def test_ctrl_c_ends_the_command_at_once_whatever_it_waits_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, check=False, timeout=20
    )
    assert done.returncode == 130
    assert done.stderr == b"Stopped by SIGINT before the command was done.\n"


def test_a_reader_that_has_enough_is_not_complained_about(config_file: str) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-c", "from demandbase_cli.cli import main; main()", "journal"]
    done = subprocess.run(
        [*words, "--config", config_file], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_host_in_trouble_is_given_up_after_some_tries() -> None:
    with http_server({"/export/v1/jobs": Reply(503)}) as server:
        done = run_command(
            "demandbase",
            "jobs",
            TAP_DEMANDBASE_API_URL=server.url,
            TAP_DEMANDBASE_ACCESS_TOKEN="token",
            NO_PROXY="*",
        )
    assert done.returncode == 1
    assert "HTTP 503" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(server.requests) == 3


CLOSED = """
import sys
from demandbase_cli.commands import run
sys.stdin, *_ = [None]
sys.exit(run(sys.argv[1:]))
"""


def test_closed_outputs_and_inputs_end_in_a_sentence(config_file: str, tmp_path: Path) -> None:
    process = CommandProcess(
        "demandbase", "journal", "--config", config_file, out=None, err=tmp_path / "err"
    )
    process.stdin.close()
    assert process.wait(30) == 1
    assert written(tmp_path / "err").startswith("Standard output is closed")
    words = [sys.executable, "-c", CLOSED, "state", "-"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The state is not JSON")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_of_settings_that_is_none_ends_in_a_sentence(
    demandbase: Demandbase, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "settings"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    done = demandbase("jobs", sources=(str(path),), code=1)
    assert done.err.startswith(f"The file {path} cannot be read: ")
