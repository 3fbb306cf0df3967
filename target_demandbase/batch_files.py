"""Reads the files of BATCH messages as lines of records; errors never quote a value or a URL."""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import simplejson
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchFileFormat, StorageTarget
from singer_sdk.singerlib.json import deserialize_json

from demandbase_api.errors import spool_error
from demandbase_api.files import make_private_folder
from target_demandbase.errors import InputError
from target_demandbase.reader import BLOCK_BYTES, MAX_LINE_BYTES, pass_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from target_demandbase.reader import Consumed


_COMPRESSIONS = {None, "none", "gzip"}
"""Those of JSON Lines. That of a Parquet file is a codec that the file names itself."""

_SCHEMES = {"", "file", "s3"}
"""Schemes of files that are read; nothing for a path."""

_FILE_URL = re.compile(r"file:(?://(?:localhost)?(?=/))?", re.IGNORECASE)

_REMOTE_LIBRARIES = {"botocore", "aiobotocore", "aiohttp"}
"""Packages behind s3:// whose errors are no OSError."""

_GZIP = b"\x1f\x8b"

_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a BATCH message.

    Args:
        stream: The message's stream.
        number: Its number in the manifest, from 1.
        path: Its path or URL.
    """

    stream: str
    number: int
    path: str

    def error(self, problem: str) -> InputError:
        """Return the error of a file.

        Args:
            problem: What is wrong with it, and what to do.
        """
        return InputError(
            f"File {self.number} of a BATCH message of stream {self.stream}{problem}",
            stream=self.stream,
        )

    def cut(self, error: BaseException, unit: str, count: int) -> InputError:
        """Return the error of a file whose reading failed after some lines or rows."""
        return self.error(
            f" cannot be read to its end ({type(error).__name__} after {unit} {count}). Check "
            "where the tap writes its files."
        )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of a file that follow each other, each a JSON object.

    Args:
        file: The file.
        first: Number of the first line, or row, from 1.
        lines: The lines without line ends.
    """

    file: _File
    first: int
    lines: list[bytes]


def read_batch(
    message: Mapping[str, Any],
    spool: Path | None,
    offer: Callable[[bytes], Consumed | None],
    process: Callable[[dict[str, Any]], None],
    idle: Callable[[], None],
) -> None:
    """Process the records of all files of a BATCH message as RECORD messages.

    Args:
        message: The message.
        spool: Folder for copies of remote files. Default: the system's temporary folder.
        offer: Processes the first of some lines; ``None`` if the stream's sink accepts no lines.
        process: Processes one RECORD message.
        idle: Called after each block of records.

    Raises:
        InputError: The message or a file is invalid.
        SpoolError: A copy cannot be written.
    """
    files, is_parquet = _files(message)
    opening = b'{"type":"RECORD","stream":%s,"record":' % _dumps(message["stream"])
    for file in files:
        for block in _parquet_lines(file, spool) if is_parquet else _json_lines(file):
            _process(block, opening, offer, process)
            idle()


def _process(
    block: _Lines,
    opening: bytes,
    offer: Callable[[bytes], Consumed | None],
    process: Callable[[dict[str, Any]], None],
) -> None:
    done = 0

    def counted(text: bytes) -> Consumed | None:
        nonlocal done
        consumed = offer(text)
        done += consumed.records if consumed is not None else 0
        return consumed

    def each(lines: list[bytes]) -> None:
        nonlocal done
        for line in lines:
            try:
                message = deserialize_json(line)
            except (ValueError, RecursionError):
                raise block.file.error(
                    f", line {block.first + done}, contains a number of too many digits or too "
                    "many nested arrays. Correct it at the source."
                ) from None
            process(message)
            done += 1

    pass_records([opening + line + b"}" for line in block.lines], counted, each)


def _files(message: Mapping[str, Any]) -> tuple[list[_File], bool]:
    """Return the files of a message, and whether their format is Parquet.

    Raises:
        InputError: The message is invalid.
    """
    stream, paths = message["stream"], message["manifest"]
    try:
        encoding = BaseBatchFileEncoding.from_dict(message["encoding"])
        is_valid = isinstance(paths, list) and all(isinstance(path, str) for path in paths)
    except TypeError:
        is_valid = False
    if not is_valid:
        raise InputError(
            f"A BATCH message of stream {stream} has no valid encoding or manifest. Check the tap.",
            stream=stream,
        )
    is_parquet = encoding.format == BatchFileFormat.PARQUET
    is_jsonl = encoding.format == BatchFileFormat.JSONL and encoding.compression in _COMPRESSIONS
    if not (is_parquet or is_jsonl):
        raise InputError(
            f"A BATCH message of stream {stream} has files that are neither parquet, nor jsonl, "
            "plain or with gzip. Set the tap's batch_config.encoding.format to one of these.",
            stream=stream,
        )
    files = [_File(stream, number, path) for number, path in enumerate(paths, 1)]
    for file in files:
        # A :: chains file systems of fsspec.
        if _scheme(file.path) not in _SCHEMES or "::" in file.path:
            raise file.error(
                " is neither a local file nor at s3://. Set the tap's batch_config.storage.root "
                "to one of these."
            )
    return files, is_parquet


def _scheme(path: str) -> str:
    """Return the scheme of a URL, and nothing for the path of a file."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]+(?=:)", path)
    return found[0].lower() if found else ""


def _json_lines(file: _File) -> Iterator[_Lines]:
    """Yield the lines of a JSON Lines file that are not blank.

    Raises:
        InputError: The file or a line is invalid.
    """
    number = 0
    try:
        with _opened(file) as stored, ExitStack() as stack:
            # Not by the declared compression: some taps declare one and do not compress, or the
            # other way round.
            is_packed = stored.read(len(_GZIP)) == _GZIP
            stored.seek(0)
            source = stored
            if is_packed:
                source = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=stored)))
            for lines in _split(file, source):
                first, found = number + 1, list[bytes]()
                for line in lines:
                    number += 1
                    if text := line.strip():
                        found.append(_checked(text))
                    else:
                        yield _Lines(file, first, found)
                        first, found = number + 1, []
                yield _Lines(file, first, found)
    except (OSError, EOFError, zlib.error) as error:
        raise file.cut(error, "line", number) from None
    except (ValueError, RecursionError):
        raise file.error(f", line {number}, is no JSON object. Check the tap.") from None


def _split(file: _File, source: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a file, many at a time."""
    pieces: list[bytes] = []
    count = size = 0

    def check(length: int) -> None:
        if length > MAX_LINE_BYTES:
            raise file.error(
                f", line {count + 1}, is longer than {MAX_LINE_BYTES >> 20} MiB. Leave out the "
                "large values at the source."
            )

    while chunk := source.read(BLOCK_BYTES):
        check(size + (chunk.find(b"\n") + 1 or len(chunk)))
        if b"\n" not in chunk:
            pieces.append(chunk)
            size += len(chunk)
            continue
        *lines, rest = b"".join([*pieces, chunk]).split(b"\n")
        yield lines
        count += len(lines)
        pieces, size = [rest], len(rest)
    yield [b"".join(pieces)]


@cache
def _check() -> Callable[[bytes], Any]:
    import msgspec  # noqa: PLC0415 - needed only if records are read

    return msgspec.json.Decoder(msgspec.Raw).decode


def _checked(line: bytes) -> bytes:
    """Return a line if it is one JSON object, so that it can be a member of a message.

    Raises:
        ValueError: It is not.
    """
    try:
        if not line.isascii():
            line.decode()
        _check()(line)
        is_plain = line.startswith(b"{")
    except ValueError:
        is_plain = False
    if is_plain:
        return line
    # Python's reader accepts a little more than JSON, as NaN.
    record = deserialize_json(line)
    if not isinstance(record, dict):
        raise ValueError  # noqa: TRY004 - the same error as for invalid JSON
    return _dumps(record)


def _dumps(value: object) -> bytes:
    text: str = simplejson.dumps(value, use_decimal=True, allow_nan=True)
    return text.encode("ascii")


def _parquet_lines(file: _File, spool: Path | None) -> Iterator[_Lines]:
    """Yield the rows of a Parquet file as lines.

    Raises:
        InputError: The file is invalid.
        SpoolError: A copy cannot be written.
    """
    from target_demandbase.arrow.parquet_rows import ParquetError, row_lines  # noqa: PLC0415

    count = 0
    try:
        with _opened(file) as stored, _seekable(file, stored, spool) as source:
            for lines in row_lines(source):
                for line in lines:
                    count += 1
                    if len(line) > MAX_LINE_BYTES:
                        raise file.error(
                            f", row {count}, is longer than {MAX_LINE_BYTES >> 20} MiB. Leave out "
                            "the large values at the source."
                        )
                yield _Lines(file, count - len(lines) + 1, lines)
    except ParquetError as error:
        raise file.error(f" cannot be read: {error}") from None
    except OSError as error:
        raise file.cut(error, "row", count) from None


@contextmanager
def _seekable(file: _File, stored: IO[bytes], spool: Path | None) -> Iterator[IO[bytes]]:
    """Yield a file whose columns can be read in turn: a copy of a remote one.

    Raises:
        SpoolError: The copy cannot be written.
    """
    if _scheme(file.path) != "s3":
        yield stored
        return
    try:
        if spool is not None:
            make_private_folder(spool)
        copy = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115 - closed below
    except OSError as error:
        raise spool_error(error) from error
    with copy:
        while chunk := stored.read(_COPY_BYTES):
            try:
                copy.write(chunk)
            except OSError as error:
                raise spool_error(error) from error
        copy.seek(0)
        yield copy


@contextmanager
def _opened(file: _File) -> Iterator[IO[bytes]]:
    """Open a file of a BATCH message.

    Raises:
        InputError: The package for its URL is missing, or its storage refuses access.
        OSError: It cannot be opened.
    """
    scheme = _scheme(file.path)
    if scheme == "s3":
        with _remote(file) as stored:
            yield stored
        return
    # The SDK's own method reads no URL of a path with a space, which its taps encode.
    local = Path(_FILE_URL.sub("", file.path, count=1))
    if scheme and not local.exists():
        local = Path(unquote(str(local)))
    with local.open("rb") as stored:
        yield stored


@contextmanager
def _remote(file: _File) -> Iterator[IO[bytes]]:
    try:
        head, tail = StorageTarget.split_url(file.path)
        with StorageTarget.from_url(head).open(tail) as stored:
            yield stored
    except ImportError:
        scheme = _scheme(file.path)
        raise file.error(
            f" is at {scheme}://, which needs a package that is not installed: pip install "
            f"'singer-sdk[{scheme}]'."
        ) from None
    except Exception as error:
        # As missing credentials, which are no OSError. Its text may contain a URL.
        if type(error).__module__.partition(".")[0] not in _REMOTE_LIBRARIES:
            raise
        raise file.error(
            f" cannot be read ({type(error).__name__}). Check the credentials and where the tap "
            "writes its files."
        ) from None
