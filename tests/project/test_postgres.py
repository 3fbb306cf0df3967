"""PostgreSQL to Demandbase and back, through the tap and the target that others use for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from demandbase_api.uapi.imports import HEADERS
from demandbase_sandbox import Sandbox
from tests.documents import ROOT, blocks
from tests.http_server import Reply, http_server
from tests.postgres import PLUGINS, Postgres, constraints, install_plugin, running_postgres

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
APIS = pytest.mark.parametrize("api", ["v1", "uapi"])


@dataclass(frozen=True)
class Tools:
    """A server, and the commands of its tap and target."""

    postgres: Postgres
    tap: Path
    target: Path


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    folder = tmp_path_factory.mktemp("plugins")
    with ThreadPoolExecutor() as pool, running_postgres() as postgres:
        names = tuple(PLUGINS)
        tap, target = pool.map(install_plugin, names, (folder / name for name in names))
        yield Tools(postgres, tap, target)


@pytest.fixture
def postgres(tools: Tools) -> Postgres:
    """The server without tables."""
    tools.postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return tools.postgres


def run(
    command: Path,
    folder: Path,
    *arguments: str | Path,
    text: str = "",
    code: int = 0,
    **config: Any,  # noqa: ANN401
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with settings in a file."""
    file = folder / f"{command.name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [command, "--config", file, *arguments],
        input=text, capture_output=True, text=True, cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def access(sandbox: Sandbox, api: str, folder: Path) -> dict[str, Any]:
    """Settings of both of our plugins."""
    credentials = {
        "v1": {"api_url": sandbox.url, "access_token": sandbox.token},
        "uapi": {
            "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
        },
    }
    return {**credentials[api], "state_dir": str(folder / "state"), "poll_interval_seconds": 1}


CUSTOMERS = r"""
CREATE TYPE tier AS ENUM ('gold', 'silver');
CREATE TABLE customers (
  id bigint PRIMARY KEY,
  ref uuid NOT NULL,
  company text,
  website text,
  employees bigint,
  revenue numeric(18, 2),
  ratio double precision,
  is_customer boolean,
  tier tier,
  tags text[],
  traits jsonb,
  since date,
  updated_at timestamptz NOT NULL
);
INSERT INTO customers VALUES
  (9007199254740993, '5a1c7b1e-3f57-4a3e-9d0b-1f1f2c3d4e5f', 'Zoë “Ltd”, Köln', 'zoe.example',
   9007199254740993, 1234567890123456.70, 0.1, true, 'gold', ARRAY['a', NULL, 'b,"c'],
   '{"k": [1, null, "ü"]}', '2026-01-02', '2026-03-04 05:06:07.123456+02'),
  (2, '5a1c7b1e-3f57-4a3e-9d0b-1f1f2c3d4e60', E'two\nlines', 'two.example',
   NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, '2026-03-05 00:00:00+00');
CREATE TABLE orders (nr int PRIMARY KEY, total money);
"""
KNOWN = [
    {"account_id": "a-1", "domain": "zoe.example", "name": "Zoë “Ltd”, Köln"},
    {"account_id": "a-2", "domain": "two.example", "name": "two\nlines"},
]
FIELDS = {
    "ref": ("industry", "Industry"),
    "company": ("name", "Account Name"),
    "website": ("domain", "Account Domain"),
    "employees": ("employee_count", "Employees"),
    "revenue": ("annual_revenue", "Annual Revenue"),
    "ratio": ("engagement_score", "Engagement Score"),
    "is_customer": ("is_target", "Is Target"),
    "tier": ("segment", "Segment"),
    "tags": ("country", "Country"),
    "traits": ("notes", "Notes"),
    "since": ("renewal_date", "Renewal Date"),
    "updated_at": ("scored_at", "Scored At"),
}
"""Field of ``v1`` and label of ``uapi`` by column."""


def extract(tools: Tools, folder: Path, state: object = None) -> str:
    """Return what the tap writes of the table, or of its rows since a state."""
    config = {**tools.postgres.config, "filter_schemas": ["public"]}
    catalog = json.loads(run(tools.tap, folder, "--discover", **config).stdout)
    for stream in catalog["streams"]:
        if stream["tap_stream_id"] == "public-customers":
            stream |= {"replication_method": "INCREMENTAL", "replication_key": "updated_at"}
            for item in stream["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = True
    (folder / "catalog.json").write_text(json.dumps(catalog))
    (folder / "state.json").write_text(json.dumps(state or {}))
    given = ("--catalog", folder / "catalog.json", "--state", folder / "state.json")
    return run(tools.tap, folder, *given, **config).stdout


@APIS
def test_a_table_reaches_demandbase_in_two_dry_runs(
    sandbox: Sandbox, postgres: Postgres, tools: Tools, tmp_path: Path, api: str
) -> None:
    postgres.execute(CUSTOMERS)
    # Over uapi, accounts are not added, and are found by domain and name.
    sandbox.put_rows("accounts", KNOWN)
    records = extract(tools, tmp_path)
    config = access(sandbox, api, tmp_path)
    target = BIN / "target-demandbase"
    asked = run(target, tmp_path, text=records, code=1, dry_run=True, **config)
    [file] = (tmp_path / "rejects").glob("settings-*.json")
    assert f"rejects/{file.name}" in asked.stderr
    settings = json.loads(file.read_text(encoding="utf-8"))
    assert settings["entity_map"] == {"public-customers": "accounts"}
    fields = settings["field_mappings"]["accounts"]
    assert set(fields) | {"website"} == {"id", *FIELDS}
    fields |= {column: names[api == "uapi"] for column, names in FIELDS.items()}
    if api == "uapi":
        labels = {label for _, label in FIELDS.values()}
        documented = {field.name for field in HEADERS["accounts"]}
        settings["custom_fields"] = {"accounts": sorted(labels - documented)}
    file.write_text(json.dumps(settings), encoding="utf-8")

    given = ("--config", file)
    run(target, tmp_path, *given, text=records, dry_run=True, **config)
    assert not sandbox.import_jobs()
    state = json.loads(run(target, tmp_path, *given, text=records, **config).stdout)
    found = {row["domain"]: row for row in sandbox.rows("accounts")}
    expected = {
        "industry": "5a1c7b1e-3f57-4a3e-9d0b-1f1f2c3d4e5f",
        "name": "Zoë “Ltd”, Köln",
        "employee_count": "9007199254740993",
        "annual_revenue": "1234567890123456.70",
        "engagement_score": "0.1",
        "is_target": "true",
        "segment": "gold",
        "country": '["a",null,"b,\\"c"]',
        "notes": '{"k":[1,null,"ü"]}',
        "renewal_date": "2026-01-02",
        "scored_at": "2026-03-04T03:06:07.123456Z",
    }
    assert {name: found["zoe.example"][name] for name in expected} == expected
    empty = dict.fromkeys(expected) | {
        "industry": "5a1c7b1e-3f57-4a3e-9d0b-1f1f2c3d4e60",
        "name": "two\nlines",
        "is_target": "false",
        "scored_at": "2026-03-05T00:00:00Z",
    }
    assert {name: found["two.example"][name] for name in empty} == empty

    postgres.execute(
        "UPDATE customers SET employees = 3, updated_at = '2026-03-06 07:00:00+00' WHERE id = 2"
    )
    newer = extract(tools, tmp_path, state)
    assert "zoe.example" not in newer
    run(target, tmp_path, *given, text=newer, **config)
    employees = {row["domain"]: row["employee_count"] for row in sandbox.rows("accounts")}
    assert employees == {"zoe.example": "9007199254740993", "two.example": "3"}
    assert len(sandbox.import_jobs()) == 2


ACCOUNTS = [
    {
        "account_id": "a-1", "domain": "zoe.example", "name": "Zoë “Ltd”, Köln 🚀",
        "employee_count": "9007199254740993", "annual_revenue": "1234567.89",
        "engagement_score": "0.1", "is_target": "true", "scored_at": "2026-03-04T03:06:07.123456Z",
        "renewal_date": "2024-02-29", "notes": 'two\nlines, "quoted"',
        "engagement_minutes": "9223372036854775807", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-03-04T00:00:00Z",
    },
    {
        "account_id": "a-2", "domain": "two.example", "is_target": "false",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-03-05T00:00:00Z",
    },
    {
        "account_id": "a-3", "domain": "gone.example",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-03-05T00:00:00Z",
    },
]  # fmt: skip


TYPES = {
    "account_id": "text",
    "employee_count": "bigint",
    "engagement_minutes": "bigint",
    "annual_revenue": "numeric",
    "engagement_score": "numeric",
    "is_target": "boolean",
    "renewal_date": "date",
    "scored_at": "timestamp without time zone",
}
VALUES = {
    "domain": "zoe.example",
    "name": "Zoë “Ltd”, Köln 🚀",
    "employee_count": 9007199254740993,
    "annual_revenue": Decimal("1234567.89"),
    "engagement_score": Decimal("0.1"),
    "is_target": True,
    "scored_at": "2026-03-04T03:06:07.123456",
    "renewal_date": "2024-02-29",
    "notes": 'two\nlines, "quoted"',
    "engagement_minutes": 9223372036854775807,
    "created_at": "2026-01-01T00:00:00",
    "updated_at": "2026-03-04T00:00:00",
}


def export(
    sandbox: Sandbox,
    api: str,
    folder: Path,
    *arguments: str | Path,
    **settings: Any,  # noqa: ANN401
) -> str:
    """Return what our tap writes of accounts; each run by jobs of its own."""
    config = access(sandbox, api, folder) | {"entities": ["accounts"], "job_reuse_hours": 0}
    return run(BIN / "tap-demandbase", folder, *arguments, **config, **settings).stdout


def last_state(states: str, folder: Path) -> Path:
    """Keep the last state that a target has written, for the tap."""
    file = folder / "state.json"
    file.write_text(states.splitlines()[-1], encoding="utf-8")
    return file


@APIS
def test_accounts_keep_their_values_and_types_in_the_table(
    sandbox: Sandbox, postgres: Postgres, tools: Tools, tmp_path: Path, api: str
) -> None:
    sandbox.put_rows("accounts", ACCOUNTS)
    options = {"accounts": {"replication_key": "updated_at"}}
    given = {"stream_options": options, "lookback_days": 0}
    config = {**postgres.config, "default_target_schema": "public"}
    records = export(sandbox, api, tmp_path, **given)
    states = run(tools.target, tmp_path, text=records, **config).stdout
    types = {
        row["column_name"]: row["data_type"]
        for row in postgres.rows(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'accounts'"
        )
    }
    assert {name: types[name] for name in TYPES} == TYPES
    rows = {row["account_id"]: row for row in postgres.rows("SELECT * FROM accounts")}
    assert {name: rows["a-1"][name] for name in VALUES} == VALUES
    empty = dict.fromkeys(VALUES) | {
        "domain": "two.example",
        "is_target": False,
        "created_at": "2026-01-01T00:00:00",
        "updated_at": "2026-03-05T00:00:00",
    }
    assert {name: rows["a-2"][name] for name in empty} == empty

    changed = {**ACCOUNTS[1], "name": "Two", "updated_at": "2026-03-06T00:00:00Z"}
    sandbox.put_rows("accounts", [ACCOUNTS[0], changed, ACCOUNTS[2]])
    state = last_state(states, tmp_path)
    newer = export(sandbox, api, tmp_path, "--state", state, **given)
    assert '"a-1"' not in newer
    run(tools.target, tmp_path, text=newer, **config)
    rows = {row["account_id"]: row for row in postgres.rows("SELECT * FROM accounts")}
    assert len(rows) == len(ACCOUNTS)
    assert (rows["a-2"]["name"], rows["a-2"]["updated_at"]) == ("Two", "2026-03-06T00:00:00")
    assert {name: rows["a-1"][name] for name in VALUES} == VALUES


@APIS
def test_accounts_that_are_deleted_leave_the_table(
    sandbox: Sandbox, postgres: Postgres, tools: Tools, tmp_path: Path, api: str
) -> None:
    config = {**postgres.config, "default_target_schema": "public", "hard_delete": True}
    for number, rows in enumerate((ACCOUNTS, ACCOUNTS[:2])):
        sandbox.put_rows("accounts", rows)
        sandbox.clock.advance(3600 * number)
        records = export(sandbox, api, tmp_path, activate_version=True)
        run(tools.target, tmp_path, text=records, **config)
        found = {row["account_id"] for row in postgres.rows("SELECT account_id FROM accounts")}
        assert found == {row["account_id"] for row in rows}


@pytest.fixture
def hub(tools: Tools) -> Iterator[str]:
    """Stands in for Meltano Hub, which has the tap and the target; yields its address."""
    with http_server({}) as server:
        for kind, command in (("extractors", tools.tap), ("loaders", tools.target)):
            name = command.name
            settings = json.loads(_about(command))["settings"]["properties"]
            definition = {
                "name": name,
                "namespace": name.replace("-", "_"),
                "variant": "meltanolabs",
                "pip_url": f"-c {constraints(name)} {PLUGINS[name]}",
                "executable": name,
                "capabilities": json.loads(_about(command))["capabilities"],
                "settings": [
                    {"name": each, "kind": _kind(rule)} for each, rule in settings.items()
                ],
            }
            path = f"/plugins/{kind}/{name}--meltanolabs"
            server.replies[path] = Reply.json(definition)
            variants = {"meltanolabs": {"ref": f"{server.url}{path}"}}
            plugin = {"default_variant": "meltanolabs", "logo_url": "", "variants": variants}
            server.replies[f"/plugins/{kind}/index"] = Reply.json({name: plugin})
        yield server.url


def _about(command: Path) -> str:
    return subprocess.run(
        [command, "--about", "--format=json"], capture_output=True, text=True, check=True
    ).stdout


def _kind(rule: dict[str, Any]) -> str:
    kinds = {"integer", "boolean", "array", "object"}.intersection(rule.get("type", ()))
    return kinds.pop() if len(kinds) == 1 else "string"


def project(folder: Path) -> Path:
    """Return a Meltano project with both of our plugins, from this environment."""
    plugins: dict[str, list[Any]] = {"extractors": [], "loaders": []}
    for path in (ROOT / "plugins").glob("*.yml"):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        del definition["pip_url"]
        plugins[path.name.partition("--")[0]].append(definition)
    members = {
        "requires_meltano": ">=4.0",
        "default_environment": "dev",
        "environments": [{"name": "dev"}],
        "send_anonymous_usage_stats": False,
        "plugins": plugins,
    }
    folder.mkdir()
    (folder / "meltano.yml").write_text(yaml.safe_dump(members, sort_keys=False), encoding="utf-8")
    return folder


@APIS
def test_the_page_works_as_it_stands(
    sandbox: Sandbox, postgres: Postgres, hub: str, tmp_path: Path, api: str
) -> None:
    postgres.execute(
        """
        DROP SCHEMA IF EXISTS demandbase CASCADE;
        CREATE TABLE customers (id bigint PRIMARY KEY, company text, website text,
                                employees integer, updated_at timestamptz NOT NULL);
        INSERT INTO customers VALUES (1, 'Zoë', 'zoe.example', 7, '2026-03-04 05:06:07+02');
        """
    )
    known = {"account_id": "a-1", "domain": "zoe.example", "name": "Zoë"}
    sandbox.put_rows("accounts", [known, *ACCOUNTS[1:]])
    [other] = {"v1", "uapi"} - {api}
    page = [
        block.text
        for block in blocks(ROOT / "docs" / "postgresql.md", "sh")
        if not block.before.endswith(f"(`{other}`):")
    ]
    own = ("MELTANO_", "TAP_", "TARGET_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {
        f"{plugin}_DEMANDBASE_{name.upper()}": str(value)
        for plugin in ("TAP", "TARGET")
        for name, value in access(sandbox, api, tmp_path).items()
    }
    environment |= {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_HUB_API_ROOT": hub,
        "PGPASSWORD": "none",
        "TAP_POSTGRES_PORT": str(postgres.port),
        "TARGET_POSTGRES_PORT": str(postgres.port),
    }
    folder = project(tmp_path / "project")
    done = subprocess.run(
        ["/bin/bash", "-c", "set -euo pipefail\n" + "".join(page)],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert '"public-customers": accounts' in done.stdout
    assert "nothing is sent" in done.stdout
    assert sandbox.import_jobs()
    found = {row["domain"]: row for row in sandbox.rows("accounts")}
    assert (found["zoe.example"]["name"], found["zoe.example"]["employee_count"]) == ("Zoë", "7")
    rows = {row["domain"]: row for row in postgres.rows("SELECT * FROM demandbase.accounts")}
    assert set(rows) == {"zoe.example", "two.example", "gone.example"}
    assert rows["zoe.example"]["employee_count"] == 7
