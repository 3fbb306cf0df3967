"""The files that a target sent."""

from __future__ import annotations

import csv
import io

from demandbase_sandbox import Sandbox


def files(sandbox: Sandbox) -> list[list[dict[str, str]]]:
    """Return the rows of all files that were sent, in the order of their jobs."""
    jobs = sorted(sandbox.import_jobs(), key=lambda job: job["created_at"])
    return [
        list(csv.DictReader(io.StringIO(sandbox.uploaded(job["id"]).decode(), newline="")))
        for job in jobs
        if sandbox.uploaded_files(job["id"])
    ]
