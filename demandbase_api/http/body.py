"""Bodies of responses, read in pieces: their time and their size are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from demandbase_api.deadline import NO_DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from demandbase_api.clock import Clock
    from demandbase_api.deadline import Deadline


CHUNK_BYTES = 256 * 1024

MAX_JSON_BYTES = 64 * 1024 * 1024
"""Maximum size of a body that is read as a whole."""

MAX_ERROR_BYTES = 1024 * 1024
"""Maximum size of the body of an error response: only a short message is read from it."""

MIN_BYTES_PER_SECOND = 1024


class BodyError(Exception):
    """A body ended early or is too large.

    Args:
        problem: What happened, as a clause without a subject.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class BrokenBodyError(BodyError):
    """The connection broke, or nothing arrived for too long."""


class SlowBodyError(BodyError):
    """The body arrives too slowly."""


class LargeBodyError(BodyError):
    """The body is larger than allowed."""


class EncodedBodyError(BodyError):
    """The body is not encoded as its header says."""


class Pace:
    """The rate at which a body arrives.

    Args:
        window_seconds: Time over which less than 1 KiB/s is too slow.
    """

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._seconds = 0.0
        self._bytes = 0

    def is_too_slow(self, received: int, seconds: float) -> bool:
        """Add bytes and the time for which they were waited for."""
        self._bytes += received
        self._seconds += seconds
        if self._seconds < self._window:
            return False
        is_slow = self._bytes < MIN_BYTES_PER_SECOND * self._seconds
        self._bytes, self._seconds = 0, 0.0
        return is_slow


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads bodies of responses.

    Args:
        clock: Time.
        timeout_seconds: Time without data, or with less than 1 KiB/s, after which a body fails.
    """

    clock: Clock
    timeout_seconds: float

    def whole(
        self,
        response: requests.Response,
        deadline: Deadline = NO_DEADLINE,
        *,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> bytes:
        """Read all of a body that is not too large.

        Raises:
            BodyError: The body ended early, is too large or too slow.
        """
        body = bytearray()
        for chunk in self.chunks(response, deadline):
            body += chunk
            if len(body) > max_bytes:
                raise LargeBodyError(f"sent more than {max_bytes // 2**20} MiB")
        return bytes(body)

    def chunks(
        self,
        response: requests.Response,
        deadline: Deadline = NO_DEADLINE,
        *,
        decode: bool = True,
    ) -> Iterator[bytes]:
        """Yield a body as it arrives.

        Args:
            response: The response; its body has not been read.
            deadline: Moment until which the body must have arrived.
            decode: Whether to decode the body by its Content-Encoding.

        Raises:
            BodyError: The body ended early or is too slow.
        """
        pace = Pace(self.timeout_seconds)
        while True:
            started = self.clock.now()
            # Not iter_content(): it waits for a whole chunk, and loses one that is cut short.
            try:
                chunk = response.raw.read1(CHUNK_BYTES, decode_content=decode)
            except ReadTimeoutError:
                # Without the cause: its message may contain a signed link.
                raise BrokenBodyError("sent nothing more") from None
            except DecodeError:
                raise EncodedBodyError(
                    "sent a body that is not encoded as its Content-Encoding says"
                ) from None
            except HTTPError:
                raise BrokenBodyError("broke the connection") from None
            if not chunk:
                return
            yield chunk
            if pace.is_too_slow(len(chunk), self.clock.now() - started):
                raise SlowBodyError(f"sent less than 1 KiB/s for {self.timeout_seconds:g} s")
            if deadline.has_passed:
                raise SlowBodyError("did not respond in time")
