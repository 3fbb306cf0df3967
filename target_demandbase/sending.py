"""A file on its way up, while rows are still read: in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from demandbase_api.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.jobs.import_journal import ImportFile

_SIGNAL_SECONDS = 0.2


class Sending:
    """Brings one file to its job.

    The thread keeps no process from ending: a server that stays silent would.

    Args:
        file: The file.
        send: Does it, and returns the job's id.
    """

    def __init__(self, file: ImportFile, send: Callable[[ImportFile], str]) -> None:
        self.file = file
        self._send = send
        self._job_id = ""
        self._error: BaseException | None = None
        # Not the thread's own join: in CPython 3.11, one that a signal breaks off takes the thread
        # for ended.
        self._ended = threading.Event()
        start_thread(self._run)

    def _run(self) -> None:
        try:
            self._job_id = self._send(self.file)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self._ended.set()

    @property
    def is_done(self) -> bool:
        """Whether it came to an end, good or bad."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for its end, but not for long."""
        self._ended.wait(seconds)

    def job_id(self) -> str:
        """Wait for its end and return the job.

        Raises:
            Exception: Whatever kept the file from it.
        """
        while not self._ended.wait(_SIGNAL_SECONDS):
            pass  # between two waits Python looks for signals
        if self._error is not None:
            raise self._error
        return self._job_id
