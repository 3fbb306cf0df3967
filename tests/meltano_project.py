"""Runs Meltano as a user does, without the settings of the person who runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def meltano(
    folder: Path, environment: Mapping[str, str], *arguments: str, code: int = 0, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command of Meltano in a project.

    Args:
        folder: Folder of the project.
        environment: Variables in addition to those of the tests.
        arguments: The command line.
        code: Exit code that it must have.
        text: Standard input.
    """
    own = ("MELTANO_", "TAP_", "TARGET_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        [str(BIN / "meltano"), *arguments],
        cwd=folder,
        env={
            **inherited,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPYCACHEPREFIX": str(ROOT / ".meltano" / "pycache"),
            "NO_PROXY": "127.0.0.1",
            **environment,
        },
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
