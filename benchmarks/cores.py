"""How much work the machine's cores do at once: on a shared machine it can be that of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time

_TIMES = 3_000_000
_LOOP = f"""
import time
began = time.perf_counter()
for _ in range({_TIMES}):
    pass
print(time.perf_counter() - began)
"""


def cores_worth() -> float:
    """Return how many times the work of one process all cores do in the same time."""
    count = os.cpu_count() or 1
    alone = _slowest(1)
    return count * alone / _slowest(count)


def wait_for_cores(worth: float, seconds: float) -> float:
    """Wait until the cores do a share of the work that they could, and return what they do.

    Args:
        worth: The share, from 0 to 1.
        seconds: How long to wait at most.
    """
    began = time.monotonic()
    while True:
        found = cores_worth()
        if found >= worth * (os.cpu_count() or 1) or time.monotonic() - began >= seconds:
            return found


def _slowest(processes: int) -> float:
    command = [sys.executable, "-S", "-E", "-c", _LOOP]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    return max(float(each.communicate()[0]) for each in running)
