"""What the benchmark writes in the spelling of other taps, against what these taps write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.columns import KEY, VARIED
from benchmarks.data import target_input
from benchmarks.spellings import sql_type
from tests.postgres import Postgres, install_plugin, running_postgres

pytestmark = pytest.mark.slow

ROWS = 1100
"""More than the rows between two states of pipelinewise-tap-postgres."""
TAPS = ("tap-postgres", "pipelinewise-tap-postgres")
VARYING = {"time_extracted": r'"[^"]*"', "version": r"\d+", "xmin": r"\d+"}


@pytest.fixture(scope="module")
def taps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if sys.version_info >= (3, 12):
        pytest.skip("pipelinewise-tap-postgres needs a psycopg2 without wheels for this Python")
    folder = tmp_path_factory.mktemp("taps")
    with ThreadPoolExecutor() as pool:
        commands = pool.map(install_plugin, TAPS, (folder / name for name in TAPS))
        return dict(zip(TAPS, commands, strict=True))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with the rows of the benchmark in a table."""
    folder = tmp_path_factory.mktemp("rows")
    [file] = target_input("tap-postgres", ROWS).csv_files(folder, ROWS, 1).parts
    columns = ", ".join(f"{column.name} {sql_type(column)}" for column in VARIED)
    with running_postgres() as server:
        server.execute(
            f"CREATE TABLE wide ({columns}, PRIMARY KEY ({KEY}));\n"
            f"\\copy wide FROM '{file}' CSV HEADER\n"
        )
        yield server


@pytest.mark.parametrize("name", TAPS)
def test_the_lines_are_those_of_the_tap(
    taps: dict[str, Path], postgres: Postgres, tmp_path: Path, name: str
) -> None:
    config = {**postgres.config, "filter_schemas": ["public"]}
    if name == "pipelinewise-tap-postgres":
        config |= {"dbname": config["database"], "filter_schemas": "public"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [str(taps[name]), "--config", str(tmp_path / "config.json")]
    catalog = json.loads(subprocess.check_output([*command, "--discover"]))
    for item in catalog["streams"][0]["metadata"]:
        if not item["breadcrumb"]:
            item["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    found = lines(subprocess.check_output([*command, "--catalog", str(tmp_path / "catalog.json")]))
    expected = lines(b"".join(target_input(name, ROWS).singer_lines(ROWS)))
    # A server returns rows in any order.
    assert sorted(found) == sorted(expected)
    assert list(map(kind, found)) == list(map(kind, expected))


def lines(written: bytes) -> list[str]:
    """Return lines without what differs from run to run."""
    text = written.decode("ascii")
    for name, value in VARYING.items():
        text = re.sub(f'("{name}": ?){value}', r"\1…", text)
    return text.splitlines()


def kind(line: str) -> str:
    return str(json.loads(line.replace("…", "0"))["type"])
