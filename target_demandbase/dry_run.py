"""What a dry run does instead of sending: the files are kept to be looked at."""

from __future__ import annotations

import io
import logging
import os
import shutil
from typing import TYPE_CHECKING, BinaryIO

from target_demandbase.rejects_folder import (
    file_name_part,
    make_folder,
    open_private,
    rejects_error,
)

if TYPE_CHECKING:
    from pathlib import Path

    from target_demandbase.lane import Settlement
    from target_demandbase.shipment import Shipment
    from target_demandbase.undelivered import Undelivered

logger = logging.getLogger("target-demandbase")


class DryLane:
    """Takes shipments as the lane does, and writes them into a folder.

    Args:
        folder: The folder; created with the first file.
        settlement: What becomes of batches.
    """

    is_busy = False

    def __init__(self, folder: Path, settlement: Settlement) -> None:
        self._folder = folder
        self._settlement = settlement
        self._number = 0

    @property
    def batches(self) -> set[int]:
        """The batches that are not settled: none."""
        return set()

    def ship(self, shipment: Shipment) -> None:
        """Write a file.

        Raises:
            RejectsError: The disk does not take it.
        """
        self._number += 1
        path = self._folder / f"{self._number:04d}-{shipment.plan.entity}.csv"
        self._write(path, shipment.staged.open())
        logger.info(
            "Dry run: %d rows of stream %s for %s are in %s; nothing is sent",
            shipment.staged.rows,
            shipment.plan.stream,
            shipment.plan.entity,
            path,
        )
        shipment.staged.close()

    def keep(self, stream: str, report: str) -> None:
        """Write what was found of a stream at its schema.

        Raises:
            RejectsError: The disk does not take it.
        """
        text = io.BytesIO(f"{report}\n".encode())
        self._write(self._folder / f"{file_name_part(stream)}-mapping.txt", text)

    def _write(self, path: Path, content: BinaryIO) -> None:
        try:
            make_folder(self._folder)
            with os.fdopen(open_private(path, os.O_TRUNC), "wb") as file:
                shutil.copyfileobj(content, file)
        except OSError as error:
            raise rejects_error(error) from error

    def end_of_batch(self, batch: int) -> None:
        """Note that all files of a batch are written."""
        self._settlement.batch_done(batch)

    def settle_sending(self) -> None:
        """Do nothing: no file is on its way up."""

    def tick(self) -> None:
        """Do nothing: there are no jobs."""

    def finish(self) -> None:
        """Do nothing: there are no jobs."""

    def told(self, batch: int) -> None:
        """Do nothing: there is no ledger."""

    def close(self, undelivered: Undelivered | None = None) -> None:
        """Do nothing: there are no jobs."""
