"""The tap as its command runs it: what goes wrong around a sync becomes an error of ours.

The SDK and click would handle both cases below first, and say too much or nothing.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from demandbase_api.errors import DemandbaseError
from demandbase_api.setting_rules import settings_error
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
        with _reader_needed():
            super().invoke(**options)

    @override
    def run_discovery(self) -> str:
        with _reader_needed():
            return super().run_discovery()

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK fills in the defaults, but its sentences quote values, the token among them.
        broken = super()._validate_config(raise_errors=False)
        if broken:
            validator = DEFAULT_JSONSCHEMA_VALIDATOR(self.config_jsonschema)
            error = settings_error(validator.iter_errors(dict(self.config)))
            if raise_errors:
                raise error
            return [str(error)]
        return []


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
