"""How the command ends: signals, outputs that break, hosts that do not respond."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.command_process import run_command

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


def test_an_unreachable_host_is_given_up_within_seconds() -> None:
    # The clock of run_command runs ten times as fast; the plugins would try for two minutes.
    began = time.monotonic()
    done = run_command(
        "demandbase",
        "jobs",
        TAP_DEMANDBASE_API_URL="http://127.0.0.1:1",
        TAP_DEMANDBASE_ACCESS_TOKEN="token",
    )
    assert time.monotonic() - began < 6
    assert done.returncode == 1
    assert done.stderr.startswith("Demandbase at http://127.0.0.1:1 could not be reached")
    assert len(done.stderr.splitlines()) == 1
