"""The body of a download, whole or from an offset on (RFC 9110 §14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import requests
from typing_extensions import override
from urllib3.exceptions import HTTPError

from demandbase_api.errors import ChangedFileError, InterruptedDownloadError
from demandbase_api.ports import PartBody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_api.errors import ApiOperation
    from demandbase_api.ports import Resume


CHUNK_BYTES = 256 * 1024

_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)\Z")


class DownloadBody(PartBody):
    """The body of an answer to a download.

    Args:
        operation: The call that was answered.
        response: The answer; its body is not read yet.
        resume: Where the download was asked to go on.

    Raises:
        ChangedFileError: The answer does not go on where it should.
    """

    def __init__(
        self, operation: ApiOperation, response: requests.Response, resume: Resume | None
    ) -> None:
        self._operation = operation
        self._response = response
        self._start = 0
        self._size: int | None = None
        self._is_empty = False
        match response.status_code:
            case requests.codes.partial_content:
                start, self._size = self._range()
                if resume is None or start != resume.offset:
                    raise self._changed()
                self._start = resume.offset
            case requests.codes.requested_range_not_satisfiable:
                # Nothing comes after what is here: it was the whole part already.
                _, self._size = self._range()
                if resume is None or self._size != resume.offset:
                    raise self._changed()
                self._start = resume.offset
                self._is_empty = True
            case _:
                length = response.headers.get("Content-Length", "")
                if length.isdigit() and not self._is_encoded:
                    self._size = int(length)

    @property
    @override
    def start(self) -> int:
        return self._start

    @property
    @override
    def size(self) -> int | None:
        return self._size

    @property
    @override
    def is_framed(self) -> bool:
        chunked = "chunked" in self._response.headers.get("Transfer-Encoding", "").lower()
        return self._size is not None or chunked

    @property
    @override
    def validator(self) -> str | None:
        if self._is_encoded:
            return None  # an offset would be one of the encoded body
        tag = self._response.headers.get("ETag")
        # If-Range takes no weak tag (RFC 9110 §13.1.5).
        if tag and not tag.startswith("W/"):
            return tag
        return self._response.headers.get("Last-Modified")

    @override
    def chunks(self) -> Iterator[bytes]:
        if self._is_empty:
            return
        try:
            if self._is_encoded:
                yield from self._response.iter_content(CHUNK_BYTES)
            else:
                # iter_content would lose what came before a cut within its chunk.
                while chunk := self._response.raw.read1(CHUNK_BYTES):
                    yield chunk
        except (requests.exceptions.RequestException, HTTPError):
            # The cause is left out: its text may hold a signed link.
            raise InterruptedDownloadError(
                self._operation, "broke off in the middle of the file"
            ) from None

    @property
    def _is_encoded(self) -> bool:
        return self._response.headers.get("Content-Encoding", "identity") != "identity"

    def _range(self) -> tuple[int | None, int | None]:
        found = _RANGE.match(self._response.headers.get("Content-Range", ""))
        if found is None:
            return None, None
        start, size = found.groups()
        return (None if start is None else int(start)), (None if size == "*" else int(size))

    def _changed(self) -> ChangedFileError:
        return ChangedFileError(self._operation, "does not go on where the download broke off")
