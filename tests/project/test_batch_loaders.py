"""Which loaders read the tap's batch files, as docs/batch.md says, and DuckDB without a loader."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tests.documents import ROOT, blocks
from tests.postgres import Postgres, constraints, running_postgres
from tests.s3_server import BUCKET, S3Server, s3_server

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
PAGE = ROOT / "docs" / "batch.md"
FORMATS = {
    "none": {"format": "jsonl", "compression": "none"},
    "gzip": {"format": "jsonl"},
    "parquet": {"format": "parquet"},
}
PYARROW = f"pyarrow=={importlib.metadata.version('pyarrow')}"
DUCKDB = ("duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5")
ACCOUNTS = [
    {
        "account_id": "a-1", "domain": "zoe.example", "name": "Zoë “Ltd”, Köln 🚀",
        "employee_count": "9007199254740993", "annual_revenue": "1234567.89",
        "is_target": "true", "scored_at": "2026-03-04T03:06:07.123456Z",
        "renewal_date": "2024-02-29", "notes": 'two\nlines, "quoted"',
    },
    {"account_id": "a-2", "domain": "two.example", "is_target": "false"},
]  # fmt: skip


def run(
    command: list[object], folder: Path, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), input=text, capture_output=True, text=True, check=False,
        cwd=folder, env={**os.environ, **variables},
    )  # fmt: skip


def passed(command: list[object], folder: Path, text: str = "", **variables: str) -> str:
    done = run(command, folder, text, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_config(command: Path, folder: Path, **config: Any) -> list[object]:  # noqa: ANN401
    file = folder / f"{command.name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return [command, "--config", file]


def packages(folder: Path, *names: str, constraint: str = "") -> str:
    """Install packages into a folder of their own; return it as a PYTHONPATH."""
    given = ["-c", constraints(constraint)] if constraint else ["--no-deps"]
    passed([BIN / "uv", "pip", "install", "--quiet", "--python", sys.executable,
            "--target", folder, *given, *names], ROOT)  # fmt: skip
    return str(folder)


def access(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "poll_interval_seconds": 1,
        "state_dir": str(folder / "state"),
    }


def extracted(
    sandbox: Sandbox, folder: Path, encoding: dict[str, str], root: str, **variables: str
) -> str:
    """Return what the tap writes of accounts whose rows are in files."""
    sandbox.put_rows("accounts", ACCOUNTS)
    config = {
        **access(sandbox, folder),
        "entities": ["accounts"],
        "job_reuse_hours": 0,
        "stream_options": {"accounts": {"key_properties": ["account_id"]}},
        "batch_config": {"encoding": encoding, "storage": {"root": root}},
    }
    text = passed(with_config(BIN / "tap-demandbase", folder, **config), folder, **variables)
    assert '"BATCH"' in text
    assert '"RECORD"' not in text
    return text


@dataclass(frozen=True)
class Loaders:
    """The installed loaders; environments and the server are made when they are needed."""

    folder: Path
    postgres: Postgres

    @property
    def pyarrow(self) -> str:
        return packages(self.folder / "pyarrow", PYARROW)

    def install(self, name: str) -> Path:
        package = {
            "target-postgres": "meltanolabs-target-postgres==0.8.1",
            "target-csv": "meltanolabs-target-csv==0.5.0",
            "target-duckdb": "target-duckdb==0.8.0",
            "target-jsonl": "target-jsonl==0.1.4",
        }[name]
        versions = ROOT / f"constraints-{name}.txt"
        python = self.folder / name / "bin" / "python"
        passed([BIN / "uv", "venv", "--quiet", "--python", sys.executable, self.folder / name],
               ROOT)  # fmt: skip
        passed([BIN / "uv", "pip", "install", "--quiet", "--python", python, "-c",
                versions if versions.exists() else constraints(name), package],
               ROOT)  # fmt: skip
        return python.with_name(name)


@pytest.fixture(scope="module")
def loaders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaders]:
    with running_postgres() as postgres:
        yield Loaders(tmp_path_factory.mktemp("loaders"), postgres)


def claims(loader: str) -> list[str]:
    """Return what the page says of a loader, for each format."""
    [row] = re.findall(rf"(?m)^\| (?:\w+-)?{loader}(?: [\d.]+)? \|(.+)\|$",
                       PAGE.read_text(encoding="utf-8"))  # fmt: skip
    return [cell.strip() for cell in row.split("|")]


EXPECTED = ("zoe.example", 9007199254740993, 1234567.89, True, "2026-03-04", 'two\nlines, "quoted"')


def rows_of_csv(folder: Path) -> list[tuple[Any, ...]]:
    with (folder / "accounts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (row["domain"], int(row["employee_count"]), float(row["annual_revenue"]),
         row["is_target"] == "True", row["scored_at"][:10], row["notes"])
        for row in rows if row["account_id"] == "a-1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "loader", ["target-postgres", "target-csv", "target-duckdb", "target-jsonl"]
)
def test_a_loader_reads_what_the_page_says(
    sandbox: Sandbox, loaders: Loaders, tmp_path: Path, loader: str
) -> None:
    command = loaders.install(loader)

    def loads(name: str, text: str, **variables: str) -> bool:
        schema = f"of_{name}_{len(variables)}"
        config = {
            "target-postgres": {**loaders.postgres.config, "default_target_schema": schema},
            "target-csv": {},
            "target-duckdb": {"filepath": str(tmp_path / "db"), "default_target_schema": "main"},
            "target-jsonl": {},
        }[loader]
        if run(with_config(command, tmp_path, **config), tmp_path, text, **variables).returncode:
            return False
        if loader == "target-csv":
            assert rows_of_csv(tmp_path) == [EXPECTED]
        else:
            [row] = loaders.postgres.rows(
                f"SELECT * FROM {schema}.accounts WHERE account_id = 'a-1'"  # noqa: S608
            )
            assert (row["domain"], row["employee_count"], float(row["annual_revenue"]),
                    row["is_target"], row["scored_at"][:10], row["notes"]) == EXPECTED  # fmt: skip
        return True

    for (name, encoding), claim in zip(FORMATS.items(), claims(loader), strict=True):
        text = extracted(sandbox, tmp_path, encoding, str(tmp_path / name))
        expected = {"yes": True, "no": False, "if pyarrow is in its environment": False}[claim]
        assert loads(name, text) == expected, name
        if claim.startswith("if"):
            assert loads(name, text, PYTHONPATH=loaders.pyarrow)


Duck = Callable[..., list[str]]


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Duck:
    """Runs the statements of the page in DuckDB, and returns the rows of a query."""
    path = packages(tmp_path_factory.mktemp("duckdb") / "packages", *DUCKDB)
    load, secret = [block.text for block in blocks(PAGE, "sql") if block.heading == "DuckDB"]

    def query(folder: Path, s3: S3Server | None = None) -> list[str]:
        statements = load
        if s3 is not None:
            [extension] = Path(path).rglob("httpfs.duckdb_extension")
            used = secret.replace("INSTALL httpfs;", "").replace("httpfs", f"'{extension}'")
            own = f"URL_STYLE 'path', USE_SSL false, ENDPOINT '{s3.address.split('//')[1]}')"
            for value in (s3.variables["AWS_ACCESS_KEY_ID"], s3.variables["AWS_SECRET_ACCESS_KEY"]):
                used = used.replace("'...'", f"'{value}'", 1)
            statements = used.replace("'us-east-1')", f"'us-east-1', {own}") + load
        code = (
            "import duckdb, sys\n"
            "db = duckdb.connect()\n"
            "print(db.execute(sys.stdin.read()).fetchall())\n"
            "print(*db.execute('FROM accounts').fetchall(), sep='\\n')\n"
            "print(db.execute('SELECT domain, employee_count, annual_revenue, is_target, '\n"
            "    'scored_at::DATE::VARCHAR, notes FROM accounts ORDER BY ALL').fetchall()[-1])\n"
        )
        return passed([sys.executable, "-c", code], folder, statements,
                      PYTHONPATH=path).splitlines()  # fmt: skip

    return query


def test_duckdb_reads_the_files_that_the_messages_name(
    sandbox: Sandbox, tmp_path: Path, duck: Duck
) -> None:
    root = tmp_path / "a folder é"
    extracted(sandbox, tmp_path, FORMATS["parquet"], str(root))  # of an earlier run
    text = extracted(sandbox, tmp_path, FORMATS["parquet"], str(root))
    (tmp_path / "tap.jsonl").write_text(text, encoding="utf-8")
    first, *rows, last = duck(tmp_path)
    assert (first, len(rows), last) == ("[(0,)]", len(ACCOUNTS), str(EXPECTED))


@pytest.mark.parametrize("name", ["gzip", "parquet"])
def test_files_of_a_bucket_reach_duckdb_and_our_own_target(
    sandbox: Sandbox, tmp_path: Path, duck: Duck, name: str
) -> None:
    path = packages(tmp_path / "s3fs", "s3fs", constraint="s3fs")
    with s3_server() as s3:
        variables = {**s3.variables, "PYTHONPATH": path}
        root = f"s3://{BUCKET}/folder"
        text = extracted(sandbox, tmp_path, FORMATS[name], root, **variables)
        if name == "parquet":
            (tmp_path / "tap.jsonl").write_text(text, encoding="utf-8")
            first, *rows, last = duck(tmp_path, s3)
            assert (first, len(rows), last) == ("[(0,)]", len(ACCOUNTS), str(EXPECTED))
        config = access(sandbox, tmp_path) | {"unknown_fields": "drop"}
        target = with_config(BIN / "target-demandbase", tmp_path, **config)
        unknown = {**variables, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        refused = run(target, tmp_path, text, **unknown)
        assert refused.returncode == 1
        assert "File 1 of a BATCH message of stream accounts cannot be read" in refused.stderr
        assert "s3://" not in refused.stderr
        passed(target, tmp_path, text, **variables)
    [job] = sandbox.import_jobs()
    assert sandbox.uploaded(job["id"]).count(b'"zoe.example"') == 1
