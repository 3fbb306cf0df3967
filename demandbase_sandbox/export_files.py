"""Writes the files of an export: parts that each repeat the header."""

from __future__ import annotations

import csv
import gzip
import shutil
from typing import TYPE_CHECKING

from demandbase_sandbox.csv_mangling import mangle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions


class ExportFiles:
    """The files of all exports of a tenant.

    Args:
        folder: Where they are.
        options: How many rows a part has, and how it is encoded.
    """

    def __init__(self, folder: Path, options: SandboxOptions) -> None:
        self._folder = folder
        self._options = options

    def path(self, job_id: str, part: int) -> Path:
        """Return where a part is."""
        return self._folder / self.name(job_id, part)

    def name(self, job_id: str, part: int) -> str:
        """Return the file name of a part."""
        return f"{job_id}-part-{part}.csv{'.gz' if self._options.gzip else ''}"

    def write(
        self,
        job_id: str,
        fields: Sequence[str],
        rows: Iterator[tuple[str | None, ...]],
        way_to_mangle: str,
    ) -> tuple[int, list[int]]:
        """Write all parts, at least one; return the rows and each part's bytes."""
        sizes: list[int] = []
        count = 0
        first: tuple[str | None, ...] | None = next(rows, None)
        while first is not None or not sizes:
            path = self._folder / f"{job_id}-part-{len(sizes) + 1}.csv"
            encoding = "utf-8-sig" if self._options.byte_order_mark else "utf-8"
            with path.open("w", encoding=encoding, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(fields)
                written = 0
                while first is not None:
                    writer.writerow(first)
                    written += 1
                    first = next(rows, None)
                    if written == self._options.part_rows:
                        break
            count += written
            mangle(path, way_to_mangle)
            if self._options.gzip:
                path = _zipped(path)
            sizes.append(path.stat().st_size)
        return count, sizes


def _zipped(path: Path) -> Path:
    zipped = path.with_name(f"{path.name}.gz")
    with (
        path.open("rb") as plain,
        zipped.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as body,
    ):
        shutil.copyfileobj(plain, body)
    path.unlink()
    return zipped
