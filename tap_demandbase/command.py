"""The tap as its command runs it: a reader that is gone becomes an error of ours."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from demandbase_api.errors import DemandbaseError
from demandbase_api.process import widen
from tap_demandbase.tap import TapDemandbase

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputClosedError(DemandbaseError):
    """Whoever read the tap's output reads no more."""


class CommandTap(TapDemandbase):
    """Singer tap for Demandbase's bulk export API."""

    @classmethod
    @override
    def invoke(cls, **options: Any) -> None:
        widen(sys.stdout.fileno())
        with _reader_needed():
            super().invoke(**options)

    @override
    def run_discovery(self) -> str:
        with _reader_needed():
            return super().run_discovery()


@contextmanager
def _reader_needed() -> Iterator[None]:
    """Turn a broken pipe into an error: click would end the command without a word.

    Raises:
        OutputClosedError: The pipe behind standard output broke.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosedError("The target stopped reading: see its own messages.") from None
