"""How this run was started: by Meltano or by its own command."""

from __future__ import annotations

import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path

_COMMAND = "target-demandbase"

_CONFIG = "--config"


def loader_name() -> str | None:
    """Return the name of this loader in the Meltano project that runs it; ``None`` without one."""
    return os.environ.get("MELTANO_LOADER_NAME") or None


def sending_command() -> str:
    """Return the command that sends the records of a file, with the settings of this run."""
    if loader := loader_name():
        return f"cat FILE | meltano invoke {loader}"
    program, *given = sys.argv
    options = _config_options(given) if Path(program).name == _COMMAND else []
    return f"cat FILE | {shlex.join([_COMMAND, *options])}"


def _config_options(given: list[str]) -> list[str]:
    options = [option for option in given if option.startswith(f"{_CONFIG}=")]
    pairs = pairwise(given)
    return options + [word for pair in pairs if pair[0] == _CONFIG for word in pair]
