"""A file on its way to an import job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to be sent.

    Args:
        name: Its name; it carries the fingerprint.
        fingerprint: Digest of its content and of what is asked for with it.
        stream: The stream that its rows came from.
        rows: How many they are.
        open: Returns the file, standing at its start.
        is_replay: Whether all of its rows are such as an earlier job did not take.
    """

    name: str
    fingerprint: str
    stream: str
    rows: int
    open: Callable[[], BinaryIO]
    is_replay: bool = False

    def job_name(self, fingerprint: str, began: datetime) -> str:
        """Return the name of one job for the file, which no other job has.

        The same rows may be sent again after others: the job of then must not pass for the new one.

        Args:
            fingerprint: That of the file when the job was created.
            began: When the job was about to be created.
        """
        stem, dot, ending = self.name.replace(self.fingerprint, fingerprint).rpartition(".")
        return f"{stem}-{began:%Y%m%dT%H%M%S%f}{dot}{ending}"

    def again(self, time: int) -> ImportFile:
        """Return the file as one of its own: a run may send the same rows several times.

        Args:
            time: Which time it is, from 2.
        """
        stem, dot, ending = self.name.rpartition(".")
        return replace(
            self, fingerprint=f"{self.fingerprint}-{time}", name=f"{stem}-{time}{dot}{ending}"
        )
