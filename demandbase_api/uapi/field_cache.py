"""Keeps what an entity's fields were, in a file, for some hours: few calls a day may ask."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demandbase_api.clock import Clock

logger = logging.getLogger(__name__)

_FORM = 1


@dataclass(frozen=True, slots=True)
class CachedFields:
    """What was answered.

    Args:
        at: When.
        fields: The fields' members, as the API gave them.
        refusal: Why there are none: the tenant may not have this entity.
    """

    at: datetime
    fields: tuple[Mapping[str, str], ...] = ()
    refusal: str | None = None


class FieldCache:
    """The answers of one tenant.

    A file that cannot be read or written costs calls and nothing else.

    Args:
        path: The file.
        hours: How long an answer is good for.
        clock: Time.
    """

    def __init__(self, path: Path, hours: float, clock: Clock) -> None:
        self._path = path
        self._age = timedelta(hours=hours)
        self._clock = clock
        self._is_told = False

    def find(self, key: str, *, any_age: bool = False) -> CachedFields | None:
        """Return an answer that is not too old, or of any age."""
        found = self._read().get(key)
        if found is None:
            return None
        is_fresh = timedelta() <= self._clock.utc() - found.at < self._age
        return found if is_fresh or any_age else None

    def keep(
        self, key: str, fields: Sequence[Mapping[str, str]], refusal: str | None = None
    ) -> CachedFields:
        """Keep an answer and return it."""
        answer = CachedFields(self._clock.utc(), tuple(fields), refusal)
        self._write({**self._read(), key: answer})
        return answer

    def drop(self, key: str) -> None:
        """Forget an answer: it has proved wrong."""
        self._write({name: answer for name, answer in self._read().items() if name != key})

    def _read(self) -> dict[str, CachedFields]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["form"] != _FORM:
                return {}
            return {key: _answer(answer) for key, answer in found["answers"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    def _write(self, answers: Mapping[str, CachedFields]) -> None:
        form = {
            key: {
                "at": answer.at.isoformat(),
                "fields": list(answer.fields),
                "refusal": answer.refusal,
            }
            for key, answer in answers.items()
        }
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"form": _FORM, "answers": form}), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            if not self._is_told:
                self._is_told = True
                logger.warning(
                    "What was discovered cannot be kept in spool_dir: %s",
                    error.strerror or "it failed",
                )


def _answer(found: Mapping[str, Any]) -> CachedFields:
    """Return an answer as it was kept.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: It is none.
    """
    at = datetime.fromisoformat(found["at"])
    fields = tuple({**field, "name": field["name"]} for field in found["fields"])
    refusal = found["refusal"]
    texts = [text for field in fields for text in field.values()]
    if at.tzinfo is None or not all(isinstance(text, str) for text in [*texts, refusal or ""]):
        raise TypeError
    return CachedFields(at, fields, refusal)
