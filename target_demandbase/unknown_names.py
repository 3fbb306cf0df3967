"""Warns once of each property that records have and their schema lacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from target_demandbase.columns import METADATA_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

logger = logging.getLogger("target-demandbase")

# Names in records can be data in disguise, and endless.
_MAX_NAMES = 100
_SDK_NAMES = frozenset(
    f"_sdc_{name}"
    for name in (
        "extracted_at", "received_at", "batched_at", "sequence", "table_version", "sync_started_at",
    )
)  # fmt: skip


class UnknownNames:
    """The properties of one stream's records that are not sent, since no schema names them.

    Args:
        stream: Name of the stream.
        properties: The properties that its schema has.
    """

    def __init__(self, stream: str, properties: Iterable[str]) -> None:
        self._stream = stream
        self._known = set(properties)
        self.seen: frozenset[str] = _SDK_NAMES
        """Those that have been warned of, or need no warning; no more than a hundred or so."""

    def warn_of(self, record: Mapping[str, object]) -> None:
        """Warn of the properties of a record that nobody has been warned of."""
        if record.keys() <= self._known:
            return
        for name in record.keys() - self._known:
            if len(self.seen) >= _MAX_NAMES:
                return
            self._known.add(name)
            self.seen |= {name}
            if not name.startswith(METADATA_PREFIXES):
                logger.warning(
                    "Records of stream %s have a property %s that their schema lacks; "
                    "it is not sent.",
                    self._stream,
                    name,
                )
