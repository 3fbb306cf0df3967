"""A stream of people, whom both APIs add, and the files that bring them."""

from __future__ import annotations

import csv
import io

from demandbase_sandbox import Sandbox
from tests.target.conftest import (
    PEOPLE_LABELS,
    people,
    person,
    state,
)

CREATE, UPLOAD, LIST = "createImportJob", "uploadImportFile", "listImportJobs"


MESSAGES = (people(), *(person(n, title=f"T{n}") for n in range(4)), state(1))


def files(sandbox: Sandbox) -> list[list[dict[str, str]]]:
    """The rows of all files that were sent, by column, in the order of their jobs."""
    columns = {label: column for column, label in PEOPLE_LABELS.items()}
    found = []
    for job in reversed(sandbox.import_jobs()):
        for content in sandbox.uploaded_files(job["id"]):
            head, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
            names = [columns.get(name, name) for name in head]
            found.append([dict(zip(names, row, strict=True)) for row in rows])
    return found


def rows_sent(sandbox: Sandbox) -> list[int]:
    """How many rows each file had."""
    return [len(file) for file in files(sandbox)]


def spans(sandbox: Sandbox) -> list[tuple[str, str]]:
    """When each job was created, and when it was done."""
    return [
        (job.get("created_at") or job["createdAt"], job.get("completed_at") or job["updatedAt"])
        for job in reversed(sandbox.import_jobs())
    ]


def ended(sandbox: Sandbox) -> list[str]:
    """The states of jobs that were given a file."""
    return [job["status"] for job in sandbox.import_jobs() if sandbox.uploaded_files(job["id"])]
