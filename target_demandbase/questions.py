"""What is open about the streams of a run, and the settings that answer it.

A run whose settings do not fit ends at once otherwise, and the next run would only find what is
open about the next stream. Here all streams are asked first, and nothing more is sent.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from demandbase_api.redaction import plain
from demandbase_api.run_files import write_settings
from target_demandbase.errors import MappingError
from target_demandbase.invocation import loader_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demandbase_api.clock import Clock
    from target_demandbase.errors import TargetError
    from target_demandbase.proposal import Proposal

logger = logging.getLogger("target-demandbase")

SECONDS = 60.0
"""How long other streams are waited for; a dry run waits for all."""


class Questions:
    """Collects what is open about the streams of a run.

    Args:
        config: The settings.
        folder: Folder for the file of settings.
        run: Name of the run.
        clock: Time.
    """

    def __init__(self, config: Mapping[str, Any], folder: Path, run: str, clock: Clock) -> None:
        self._config = config
        self._folder = folder
        self._run = run
        self._clock = clock
        self._answers: dict[str, Proposal] = {}
        self._errors: dict[str, TargetError] = {}
        self._until = float("inf")

    @property
    def are_open(self) -> bool:
        """Whether any stream cannot be imported as the settings are."""
        return bool(self._errors)

    @property
    def is_time_up(self) -> bool:
        """Whether the run must not wait for other streams any longer."""
        return self._clock.now() >= self._until

    def settled(self, answer: Proposal) -> None:
        """Add a stream that can be imported, with the settings that its plan has."""
        self._answers[answer.stream] = answer

    def ask(self, error: TargetError, answer: Proposal) -> None:
        """Add a stream that cannot be imported.

        Args:
            error: Why.
            answer: Settings that answer it.
        """
        if not self._errors:
            logger.warning(
                "Stream %s cannot be imported as the settings are: no more rows are sent, and the "
                "rest of the input is read only for the columns of other streams.",
                answer.stream,
            )
            if not self._config["dry_run"]:
                self._until = self._clock.now() + SECONDS
        self._errors[answer.stream] = error
        self._answers[answer.stream] = answer

    def error(self) -> TargetError:
        """Write settings that answer what is open, and return the error that ends the run."""
        advice = [str(error) for error in self._errors.values()]
        advice.append(self._write())
        advice += [
            f"What they leave open for stream {name}: {'; '.join(self._answers[name].remaining)}."
            for name in self._errors
            if self._answers[name].remaining
        ]
        first = next(iter(self._errors.values()))
        kind = type(first) if len(self._errors) == 1 else MappingError
        return kind(" ".join(advice), stream=first.stream)

    def write_mapping(self) -> None:
        """Write the settings of a dry run's mapping, unless they are what is configured."""
        from target_demandbase.mapping_report import merged_settings  # noqa: PLC0415 - yaml

        settings = merged_settings(self._config, list(self._answers.values()))
        if any(settings[name] != (self._config.get(name) or {}) for name in settings):
            logger.info("%s", self._write())

    def _write(self) -> str:
        """Write the settings to standard error and to a file; return what to do with them."""
        from target_demandbase.mapping_report import (  # noqa: PLC0415 - yaml takes time
            config_block,
            config_text,
            merged_settings,
        )

        settings = merged_settings(self._config, list(self._answers.values()))
        loader = loader_name()
        text = config_text(settings, is_for_meltano=loader is not None)
        report = "".join(
            f"{plain_lines(self._answers[stream].report)}\n" for stream in self._errors
        )
        # Not through the log, whose lines have a beginning each and cannot be pasted. Meltano
        # strips the lines, which YAML survives in the form of JSON only.
        sys.stderr.write(f"{report}{text if loader is None else f'config: {text}'}\n")
        content, suffix = (text, "json") if loader is None else (config_block(settings), "yml")
        try:
            path = write_settings(self._folder, self._run, content, suffix)
        except OSError:
            where = "The settings above"
        else:
            where = f"The settings above, which are in {path}, too,"
        what = (
            f"{where} map the streams of this run as far as names tell, and leave out columns that "
            "resemble no field."
        )
        if loader is None:
            return (
                f"{what} Check and change them, and add that file as one more --config, or put "
                "them into your own."
            )
        return (
            f"{what} Check and change them, and put them under {loader} in meltano.yml, where they "
            "replace settings of the same names."
        )


def plain_lines(text: str) -> str:
    """Return lines that cannot control a terminal."""
    return "\n".join(map(plain, text.splitlines()))
