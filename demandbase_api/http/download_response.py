"""The response to a download: a whole file, or its rest from an offset (RFC 9110 §14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import requests
from typing_extensions import override

from demandbase_api.errors import (
    ChangedFileError,
    InterruptedDownloadError,
    NotReadyError,
    UnexpectedResponseError,
)
from demandbase_api.http.body import BodyError
from demandbase_api.http.error_mapping import retry_after_seconds
from demandbase_api.ports import PartBody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_api.errors import ApiOperation
    from demandbase_api.http.body import BodyReader
    from demandbase_api.ports import Resume


_SIZE = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_STORED_ENCODINGS = {"", "identity", "gzip", "x-gzip"}
"""Encodings of files that are kept as they are: readers of a part unpack gzip files."""


class DownloadBody(PartBody):
    """The body of the response to a download.

    Args:
        operation: Operation of the API, for errors.
        response: The response; its body has not been read.
        resume: Position from which the request resumes a download.
        bodies: Reads the body.

    Raises:
        ChangedFileError: The response does not continue from that position.
        NotReadyError: The file is not there yet.
        UnexpectedResponseError: The response has no file.
    """

    def __init__(
        self,
        operation: ApiOperation,
        response: requests.Response,
        resume: Resume | None,
        bodies: BodyReader,
    ) -> None:
        self._operation = operation
        self._response = response
        self._bodies = bodies
        self._start = 0
        self._size: int | None = None
        self._is_empty = False
        match response.status_code:
            case requests.codes.ok:
                self._size = self._content_length()
            case requests.codes.partial_content if resume is not None:
                start, self._size = self._content_range()
                if start != resume.offset:
                    raise self._changed()
                self._start = resume.offset
            case requests.codes.requested_range_not_satisfiable if resume is not None:
                # There is nothing after this position: the whole part has been received.
                _, self._size = self._content_range()
                if self._size != resume.offset:
                    raise self._changed()
                self._start = resume.offset
                self._is_empty = True
            case requests.codes.accepted:
                raise NotReadyError(
                    operation,
                    "has not written the file yet",
                    status=response.status_code,
                    retry_after=retry_after_seconds(response.headers.get("Retry-After")),
                )
            case status:
                raise UnexpectedResponseError(
                    operation, "responded without the file", status=status
                )
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _STORED_ENCODINGS:
            raise UnexpectedResponseError(
                operation,
                f"encoded the file as “{encoding[:20]}”, which was not requested,",
                advice="Check whether a proxy encodes responses.",
            )

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
            yield from self._bodies.chunks(self._response, decode=False)
        except BodyError as error:
            raise InterruptedDownloadError(
                self._operation, f"{error.problem} in the middle of the file"
            ) from None

    def _content_length(self) -> int | None:
        length = self._response.headers.get("Content-Length")
        if length is None:
            return None
        if _SIZE.fullmatch(length.strip()) is None:
            raise UnexpectedResponseError(self._operation, "gave a file without a possible length")
        return int(length)

    def _content_range(self) -> tuple[int | None, int | None]:
        found = _CONTENT_RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
        if found is None:
            return None, None
        start, size = found.groups()
        return (None if start is None else int(start)), (None if size == "*" else int(size))

    def _changed(self) -> ChangedFileError:
        return ChangedFileError(
            self._operation, "does not continue from where the download stopped"
        )
