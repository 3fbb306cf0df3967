"""The process of a command: imports at its start, signals, pipes and its end.

Commands import this module before any library, so it imports only what ``loading`` needs.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from demandbase_api.startup import SIGNAL_EXIT, STANDARD_ERROR

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import TextIO

    from simplejson import JSONDecodeError

PIPE_BYTES = 1024 * 1024
"""Largest pipe that Linux grants to an unprivileged user by default."""
_STANDARD_OUTPUT = 1
_FRAMES = 4

_SDK_MESSAGES = {
    "singer_sdk.metrics": ("METRIC",),
    "singer_sdk.configuration._dict_config": ("Parsing '",),
}
"""Beginnings of the SDK's messages, before values are filled in, by name of the logger."""
_PLUGIN_MESSAGES = (
    "Parsing env var", "Skipping parse of env var", "Config validation failed",
    "Added '%s' as child", "Error initializing target sink",
)  # fmt: skip
"""Beginnings of the SDK's messages in the log of a plugin; errors end in a sentence."""
_TALKATIVE = "singer_sdk.singerlib.catalog"
"""Logs a line for each field and stream at the level DEBUG, several times."""


@contextmanager
def command() -> Iterator[None]:
    """Prepare the outputs of a command for the block, and the end of the process after it.

    Standard error never fails: no message is worth the outcome of a run.
    """
    _occupy_descriptors()
    _replace_outputs()
    try:
        yield
    except SystemExit as end:
        if not end.code:
            _flush_output()
        raise
    finally:
        _drop_broken_output()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


def _occupy_descriptors() -> None:
    """Open the null device for each standard descriptor that is closed.

    Otherwise the next file or connection would get its number.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > STANDARD_ERROR:
            os.close(descriptor)
            return


class OutputFailure(OSError):  # noqa: N818 - it is a kind of OSError
    """Standard output cannot be written."""


class _StandardOutput(io.FileIO):
    """Standard output; its errors differ from those of other files."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401
        """Write some bytes."""
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailure(error.errno, error.strerror) from None


class _StandardError(io.FileIO):
    """Standard error; what cannot be written is dropped."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401
        """Write some bytes, or drop them."""
        with suppress(OSError):
            return super().write(data) or len(data)
        return len(data)


def _replace_outputs() -> None:
    if _is_file(sys.stdout, _STANDARD_OUTPUT):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_StandardOutput(_STANDARD_OUTPUT, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.isatty(),
        )
    if sys.stderr is None or _is_file(sys.stderr, STANDARD_ERROR):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_StandardError(STANDARD_ERROR, "w", closefd=False)),
            encoding=getattr(sys.stderr, "encoding", "utf-8"),
            errors="backslashreplace",
            line_buffering=True,
        )


def _is_file(stream: TextIO | None, descriptor: int) -> bool:
    """Return whether a stream is a file of the system, and not an object that captures it."""
    try:
        return stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False


def _flush_output() -> None:
    """Flush standard output; end the command if that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OutputFailure as error:
        sys.stdout = None
        raise SystemExit(_output_sentence(error)) from None


def _output_sentence(error: OutputFailure) -> str:
    return (
        f"Cannot write to standard output: {error.strerror or 'the operation failed'}. Free some "
        "space, or write to another place."
    )


def _drop_broken_output() -> None:
    """Keep Python from flushing an output at exit that cannot be written, and logging the error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = None


@contextmanager
def loading(module: str) -> Iterator[None]:
    """Disable garbage collection while the block imports a module for the first time.

    Modules stay until the process ends, so collections during the imports find nothing to free.

    Args:
        module: Name of the module. If it is loaded already, the block has no effect.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # At exit, too, so that the interpreter does not traverse everything once more.
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)


def log_plain_text() -> None:
    """Make all messages of the process's log printable, whatever texts they name.

    Names of streams, ids of jobs and texts of servers may control a terminal.
    """
    import logging  # noqa: PLC0415

    from demandbase_api.redaction import plain  # noqa: PLC0415

    class PlainRecord(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - of logging
            return plain(super().getMessage())

    logging.setLogRecordFactory(PlainRecord)


def hush_sdk(plugin: str) -> None:
    """Log the messages of the SDK that no person needs at the level DEBUG.

    Args:
        plugin: Name of the plugin.
    """
    import logging  # noqa: PLC0415

    for name, beginnings in {**_SDK_MESSAGES, plugin: _PLUGIN_MESSAGES}.items():
        logger = logging.getLogger(name)

        def is_shown(
            record: logging.LogRecord,
            logger: logging.Logger = logger,
            beginnings: tuple[str, ...] = beginnings,
        ) -> bool:
            if not str(record.msg).startswith(beginnings):
                return True
            record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
            return logger.isEnabledFor(logging.DEBUG)

        logger.addFilter(is_shown)
    logging.getLogger(_TALKATIVE).setLevel(logging.INFO)


STREAM_MAP_SENTENCE = (
    "An expression in the setting stream_maps fails, or does not fit the columns of its stream; "
    "its text is left out since it may quote a record. Correct it and run again."
)
"""Why a run failed, if the Singer SDK cannot apply a stream map."""


def exit_with_error(
    error: Exception, logger: logging.Logger, sentence: str | None = None
) -> NoReturn:
    """Log why a command failed, in one sentence without record values, and exit.

    Args:
        error: The failure.
        logger: Logger of the command.
        sentence: Describes the failure. Default: that of ``sentence_of``.
    """
    from demandbase_api.errors import EXIT_FAILURE, DemandbaseError  # noqa: PLC0415

    logger.critical("%s", sentence or sentence_of(error))
    sys.exit(error.exit_code if isinstance(error, DemandbaseError) else EXIT_FAILURE)


def sentence_of(error: Exception) -> str:
    """Return why a command failed, in one sentence without record values.

    Args:
        error: The failure.
    """
    import traceback  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    import simplejson  # noqa: PLC0415 - the SDK reads the files of a command with it

    from demandbase_api.errors import DemandbaseError  # noqa: PLC0415

    if isinstance(error, (DemandbaseError, FileNotFoundError)):
        return str(error)
    if isinstance(error, simplejson.JSONDecodeError):
        return f"A file given with --config {json_problem(error)}. Correct it, or give another."
    if isinstance(error, OutputFailure):
        return _output_sentence(error)
    if isinstance(error, (IsADirectoryError, PermissionError)) and error.filename:
        return f"Cannot use the file {error.filename}: {error.strerror}. Give another path."
    # No traceback and no message: they may quote a record.
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]
    return (
        f"Unexpected {type(error).__name__} at {' > '.join(frames)}; its message is left out since "
        "it may quote a record. If stream_maps are in use, check their expressions; otherwise "
        "report this as a bug."
    )


def json_problem(error: JSONDecodeError) -> str:
    """Return what is wrong with a file that is not JSON, as the end of a clause."""
    return f"is not valid JSON (line {error.lineno})" if error.doc.strip() else "is empty"


class Terminated(SystemExit):
    """A signal ends the run.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(SIGNAL_EXIT + number)

    @property
    def sentence(self) -> str:
        """The last line of the log."""
        return (
            f"Stopped by {self.signal.name}: the next run continues from the last state that was "
            "written."
        )


def terminate(number: int, logger: logging.Logger) -> NoReturn:
    """End the run on a signal with its exit code: 130 for SIGINT, 143 for SIGTERM.

    Args:
        number: Number of the signal.
        logger: Logger of the command.

    Raises:
        Terminated: Always.
    """
    for later in (signal.SIGINT, signal.SIGTERM):
        signal.signal(later, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
    logger.warning(
        "%s: the run ends, and its waiting and running jobs are cancelled where possible",
        signal.Signals(number).name,
    )
    raise Terminated(number)


@contextmanager
def log_signal(logger: logging.Logger) -> Iterator[None]:
    """Log the signal that ended a command, after all that the clean-up has logged.

    Args:
        logger: Logger of the command.
    """
    try:
        yield
    except Terminated as end:
        logger.critical("%s", end.sentence)
        raise


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM during short clean-up."""
    with _handling_signals(signal.SIG_IGN):
        yield


@contextmanager
def signals_deferred() -> Iterator[Sequence[int]]:
    """Defer SIGINT and SIGTERM until the block ends; yield those that have arrived so far.

    Marks sections whose order of statements protects data. Masking the main thread would not be
    enough: a library's thread may receive the signal.
    """
    received: list[int] = []
    try:
        with _handling_signals(lambda number, _: received.append(number)):
            yield received
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def _handling_signals(
    handler: Callable[[int, FrameType | None], Any] | signal.Handlers,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread handles signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def enlarge_pipe(descriptor: int) -> None:
    """Enlarge a pipe to 1 MiB if the system allows it.

    With the default of 64 KiB, the processes at both ends keep waiting for each other.

    Args:
        descriptor: Either end of the pipe. Anything else is left as it is.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        # Not a pipe, or the user's limit for pipes is reached: the size stays.
        with suppress(OSError, ValueError):
            fcntl.fcntl(descriptor, set_size, PIPE_BYTES)
