"""Runs the target on many machines that share nothing but a bucket, and kills most of them.

A round is that of ``soak_target`` (see there for what is checked), but each run has folders of its
own, as if its machine were new, and most first runs are killed.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import obstore
from obstore.store import S3Store
from typing_extensions import override

from demandbase_sandbox import Sandbox, SandboxOptions
from tests.command_process import preload
from tests.s3_server import BUCKET, CREDENTIALS, S3Server, s3_server
from tests.soak_target import HOUR, Figures, Record, Soak, command_line, show
from tests.target_process import End, TargetProcess

LEASE_SECONDS = 2.0
KINDS = {
    "v1": ("upsert", "insert", "insert", "rejects", "rejects", "two"),
    "uapi": ("upsert", "insert", "insert", "two"),
}


class MachinesSoak(Soak):
    """Rounds over one bucket.

    Args:
        server: The server of the bucket.
    """

    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = KINDS
    kill_share = 0.7

    def __init__(
        self, sandbox: Sandbox, seed: int, folder: Path, api: str, server: S3Server
    ) -> None:
        super().__init__(sandbox, seed, folder, api)
        self._environment = server.variables
        self._store = S3Store(
            BUCKET, endpoint=server.address, client_options={"allow_http": True},
            access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region=CREDENTIALS["AWS_REGION"],
        )  # fmt: skip

    @property
    def _prefix(self) -> str:
        return f"{self._api}-{self._number}"

    @override
    def _start(
        self, records: list[Record], start: int, lines: int | None, pace: float = 0
    ) -> TargetProcess:
        folder = self._folder / f"machine-{self._runs + 1}"
        self._settings |= {
            "state_dir": f"s3://{BUCKET}/{self._prefix}",
            "spool_dir": str(folder / "spool"),
            "rejects_path": str(folder / "rejects"),
        }
        return super()._start(records, start, lines, pace)

    @override
    def _process(self, text: str, lines: int | None, folder: Path, pace: float) -> TargetProcess:
        return TargetProcess(
            self._clock, self._settings, text, lines, folder, pace,
            self._environment, LEASE_SECONDS,
        )  # fmt: skip

    @override
    def _dead(self) -> dict[str, str]:
        """Return the reasons of the dead letters in the bucket: those on a machine are lost."""
        dead: dict[str, str] = {}
        for chunk in obstore.list(self._store, self._prefix):
            for path in (each["path"] for each in chunk):
                if "/rejects-" in path:
                    lines = bytes(obstore.get(self._store, path).bytes()).splitlines()
                    records = [
                        message["record"]
                        for message in map(json.loads, lines)
                        if message["type"] == "RECORD"
                    ]
                    dead |= {each[self._source.key]: json.dumps(each) for each in records}
        return dead

    @override
    def _answer(self, end: End, records: list[Record], missing: list[int]) -> list[int]:
        if not self._source.adds:
            self._problem(f"a run that may send rows again stopped: {end.message}")
        named = re.findall(rf"s3://{BUCKET}/([^\s,)]+\.json)", end.message)
        there = {each["path"] for chunk in obstore.list(self._store) for each in chunk}
        if not named or not there.issuperset(named):
            self._problem(f"the run names no journal entry: {end.message}")
            return missing
        obstore.delete(self._store, named)
        self._clock.advance(HOUR)
        return self._not_there(records, missing)


def soak_machines(rounds: int, seed: int, api: str, first: int = 1) -> Figures:
    """Run rounds, which are numbered from ``first``, and return their figures."""
    rows = dict.fromkeys(("accounts", "people", "opportunities", "activities"), 1)
    options = SandboxOptions(rows=rows, pending_seconds=1, processing_seconds=4, seed=seed)
    with tempfile.TemporaryDirectory() as folder, Sandbox(options) as sandbox, s3_server() as s3:
        runner = MachinesSoak(sandbox, seed, Path(folder), api, s3)
        for number in range(first, first + rounds):
            runner.round(number)
    return runner.figures


def main() -> int:
    """Run a soak from the command line and print its figures."""
    given = command_line(__doc__, 100).parse_args()
    logging.disable()
    preload("tests.soak_target", "tests.target_process")
    return show(soak_machines(given.rounds, given.seed, given.api, given.first), given.seed)


if __name__ == "__main__":
    sys.exit(main())
