"""The response to a download: a whole file, or its rest from an offset (RFC 9110 §14)."""

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
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)\Z")


class DownloadBody(PartBody):
    """The body of the response to a download.

    Args:
        operation: Operation of the API, for errors.
        response: The response; its body has not been read.
        resume: Position from which the request resumes a download.

    Raises:
        ChangedFileError: The response does not continue from that position.
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
                start, self._size = self._content_range()
                if resume is None or start != resume.offset:
                    raise self._changed()
                self._start = resume.offset
            case requests.codes.requested_range_not_satisfiable:
                # There is nothing after this position: the whole part has been received.
                _, self._size = self._content_range()
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
            return None  # offsets count the bytes of the encoded body
        tag = self._response.headers.get("ETag")
        # If-Range does not accept a weak tag (RFC 9110 §13.1.5).
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
                # iter_content would lose the bytes of a chunk that is cut short.
                while chunk := self._response.raw.read1(CHUNK_BYTES):
                    yield chunk
        except (requests.exceptions.RequestException, HTTPError):
            # Without the cause: its message may contain a signed link.
            raise InterruptedDownloadError(
                self._operation, "broke the connection in the middle of the file"
            ) from None

    @property
    def _is_encoded(self) -> bool:
        return self._response.headers.get("Content-Encoding", "identity") != "identity"

    def _content_range(self) -> tuple[int | None, int | None]:
        found = _CONTENT_RANGE.match(self._response.headers.get("Content-Range", ""))
        if found is None:
            return None, None
        start, size = found.groups()
        return (None if start is None else int(start)), (None if size == "*" else int(size))

    def _changed(self) -> ChangedFileError:
        return ChangedFileError(
            self._operation, "does not continue from where the download stopped"
        )
