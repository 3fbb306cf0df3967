"""What is sent for a signed link: whole, a range, or broken in a scripted way."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from demandbase_sandbox.byte_range import asked_range
from demandbase_sandbox.csv_mangling import reverse_rows
from demandbase_sandbox.faults import CutMode, Effect, Fault

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A part on the disk."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self.path.stat().st_size

    @property
    def tag(self) -> str:
        """What changes when it changes."""
        found = self.path.stat()
        return f'"{found.st_size:x}-{found.st_mtime_ns:x}"'

    def changed(self) -> SignedFile:
        """Return another version of a small file: the same rows in reverse."""
        other = self.path.with_name(f"changed-{self.path.name}")
        content = self.path.read_bytes()
        if self.path.suffix == ".gz":
            content = gzip.compress(reverse_rows(gzip.decompress(content)), mtime=0)
        else:
            content = reverse_rows(content)
        other.write_bytes(content)
        return SignedFile(other)


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer with a file's bytes, or none of them.

    Args:
        status: 200, 206 or 416.
        headers: Its headers.
        file: The file.
        start: Where the bytes begin.
        stop: Where they end, exclusive.
        whole: Whether everything that was announced is sent.
        chunked: Whether the body is framed in chunks.
        stall: Makes a pause.
    """

    status: int
    headers: Mapping[str, str]
    file: SignedFile
    start: int
    stop: int
    whole: bool = True
    chunked: bool = False
    stall: Fault | None = None

    @classmethod
    def to(cls, asked: Message, file: SignedFile, hits: Mapping[Effect, Fault]) -> Self:
        """Return the answer to a request's headers, with the faults that strike it."""
        tag = file.tag
        if (change := hits.get(Effect.CHANGED)) is not None:
            tag = f'"changed-{tag[1:]}'
            file = file if change.how == "etag" else file.changed()
        size = file.size
        kind = "application/gzip" if file.path.suffix == ".gz" else "text/csv"
        headers = {"Content-Type": kind, "ETag": tag, "Accept-Ranges": "bytes"}
        found = None
        if Effect.NO_RANGE in hits:
            del headers["Accept-Ranges"]
        elif asked.get("If-Range", tag) == tag:
            found = asked_range(asked.get("Range", ""), size)
        start, end = found or (0, size)
        if found and start >= size:
            headers |= {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return cls(416, headers, file, size, size)
        if found:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        cut, stop, chunked = hits.get(Effect.CUT), end, False
        if cut is not None:
            stop = min(end, start + cut.bytes)
        match CutMode(cut.how or CutMode.CONTENT_LENGTH) if cut else CutMode.CONTENT_LENGTH:
            case CutMode.CONTENT_LENGTH | CutMode.LENGTH:
                headers["Content-Length"] = str(end - start)
            case CutMode.CHUNKED:
                headers["Transfer-Encoding"] = "chunked"
                chunked = True
            case CutMode.CLOSE | CutMode.SILENT:
                headers["Connection"] = "close"
        return cls(
            206 if found else 200, headers, file, start, stop,
            whole=cut is None, chunked=chunked, stall=hits.get(Effect.STALL),
        )  # fmt: skip

    def pieces(self, stopping: threading.Event) -> Iterator[bytes]:
        """Yield the bytes to send, with the pause where one is scripted."""
        pause = None
        if self.stall is not None:
            pause = min(self.stop, self.start + self.stall.bytes)
        position = self.start
        with self.file.path.open("rb") as content:
            content.seek(position)
            while True:
                if self.stall is not None and position == pause:
                    stopping.wait(self.stall.seconds)
                    pause = None
                if position >= self.stop:
                    break
                bound = self.stop if pause is None else pause
                piece = content.read(min(CHUNK_BYTES, bound - position))
                position += len(piece)
                yield b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece
