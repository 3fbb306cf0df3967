"""Reads Singer messages without ever showing a line that is none."""

from __future__ import annotations

import codecs
import json
import sys
from typing import IO, TYPE_CHECKING, Any, cast

from singer_sdk.io_base import SingerReader
from singer_sdk.singerlib.json import deserialize_json
from typing_extensions import override

from target_demandbase.errors import InputError
from target_demandbase.input_blocks import BLOCK_BYTES, input_blocks
from target_demandbase.schema_check import schema_problem

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

# Without this check the SDK would skip a record that is null, and show others in a traceback.
_KINDS = {"type": str, "stream": str, "record": dict, "schema": dict}


class SilentReader(SingerReader):
    """The SDK's reader; the SDK's own logs a line that it cannot parse, record values and all."""

    block_bytes = BLOCK_BYTES
    """About how much of the input is read at a time."""
    idle: Callable[[], None]
    """Called about once a second while the input is silent."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = lambda: None
        self._line = 0

    @override
    def process_lines(
        self,
        file_input: IO[str] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
    ) -> Counter[str]:
        """Hand each message to its callback; lines without text are passed over."""
        lines = self._lines(file_input or sys.stdin)
        return super().process_lines(cast("IO[str]", lines), callbacks)

    def _lines(self, file_input: IO[str]) -> Iterator[str]:
        for block in input_blocks(file_input, self.idle, self.block_bytes):
            for line in block.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n"):
                self._line += 1
                if text := self._decoded(line).strip():
                    yield text

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise InputError(
                f"Line {self._line} of the input is no text in UTF-8. Check the tap: nothing but "
                "Singer messages may go to its standard output."
            ) from None

    @override
    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Return a message.

        Raises:
            InputError: The line is no JSON object, or a member of it is of the wrong type.
        """
        try:
            message = deserialize_json(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"Line {self._line} of the input is no JSON (at character {error.pos}). "
                "Check the tap: nothing but Singer messages may go to its standard output."
            ) from None
        except (ValueError, RecursionError):
            raise InputError(
                f"Line {self._line} of the input holds a number of too many digits or too many "
                "arrays in each other. Correct it at the source."
            ) from None
        if not isinstance(message, dict):
            raise InputError(f"Line {self._line} of the input is no Singer message.")
        for name, kind in _KINDS.items():
            if name in message and not isinstance(message[name], kind):
                raise InputError(
                    f"Line {self._line} of the input has a {name} of the wrong type: it is no "
                    "valid Singer message. Check the tap."
                )
        if message.get("type") == "SCHEMA" and (problem := schema_problem(message)):
            raise InputError(
                f"Line {self._line} of the input {problem}: it is no valid Singer message. "
                "Check the tap."
            )
        return message

    @override
    def assert_line_requires(  # type: ignore[override]
        self, line_dict: dict[str, Any], requires: set[str]
    ) -> None:
        """Check that a message has some members.

        Raises:
            InputError: It lacks one.
        """
        missing = sorted(requires - line_dict.keys())
        if missing:
            raise InputError(
                f"Line {self._line} of the input lacks {', '.join(missing)}: it is no valid "
                "Singer message. Check the tap."
            )

    @override
    def _process_unknown_message(self, message_dict: dict[str, Any]) -> None:
        raise InputError(
            f"Line {self._line} of the input is a Singer message of unknown type. Check the tap."
        )
