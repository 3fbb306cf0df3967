"""A signal while a command still imports what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
from {plugin}.cli import main
main()
"""


@pytest.mark.parametrize(
    ("plugin", "module", "number", "code"),
    [
        ("tap_demandbase", "singer_sdk", 2, 130),
        ("target_demandbase", "demandbase_api.startup", 2, 130),
        ("target_demandbase", "singer_sdk", 15, 143),
    ],
)
def test_a_signal_during_the_start_ends_the_command_without_a_traceback(
    plugin: str, module: str, number: int, code: int
) -> None:
    script = SCRIPT.format(plugin=plugin, module=module, number=number)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == code
    said = b"" if module == "demandbase_api.startup" else b"before the run began.\n"
    assert done.stderr.endswith(said)
    assert len(done.stderr.splitlines()) <= 1
