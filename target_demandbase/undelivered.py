"""Keeps the rows that a signal kept from being sent, as Singer messages that can be replayed."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from demandbase_api.errors import SpoolError
from target_demandbase.rejects_folder import file_name_part
from target_demandbase.singer_file import SingerFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_demandbase.staging import StagedFile
    from target_demandbase.stream_plan import StreamPlan

logger = logging.getLogger("target-demandbase")


class Undelivered:
    """The rows that a run did not send.

    Args:
        folder: The spool folder; the system's temporary folder where absent.
        run: What tells this run from others.
    """

    def __init__(self, folder: Path | None, run: str) -> None:
        self._folder = (folder or Path(tempfile.gettempdir())) / f"undelivered-{run}"
        self._files: dict[str, SingerFile] = {}

    def keep(self, plan: StreamPlan, files: Sequence[StagedFile]) -> None:
        """Keep the records of staged files, and say where they are."""
        records = 0
        if not any(file.rows for file in files):
            return
        source = plan.source
        kept = self._files.setdefault(
            source.stream,
            SingerFile(self._folder / f"{file_name_part(source.stream)}.jsonl", source.stream),
        )
        try:
            for file in files:
                for lines, count in file.messages():
                    records += count
                    kept.add_messages(source.schema, source.key_properties, lines)
            kept.flush()
        except (OSError, SpoolError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            logger.warning(
                "%d records of stream %s were not sent and could not be kept in spool_dir (%s); "
                "no state covers them, so the next run gets them from the tap.",
                sum(file.rows for file in files),
                plan.stream,
                getattr(cause, "strerror", None) or "it failed",
            )
            return
        logger.warning(
            "%d records of stream %s were not sent; they are in %s. No state covers them, so the "
            "next run gets them from the tap; without one, send them with “cat FILE | "
            "target-demandbase”. The file holds your data: remove it once you do not need it.",
            records,
            plan.stream,
            kept.path,
        )
