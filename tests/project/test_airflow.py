"""The DAG of deploy/airflow in a real Airflow: scheduler, LocalExecutor, two tenants, PostgreSQL.

``make test-airflow`` installs Airflow and runs these tests, in the order of the file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from shared_install import copy_project, installed, share_plugins

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.meltano_project import meltano
from tests.postgres import Postgres, install_plugin, running_postgres
from tests.tap.visits import window_of

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
AIRFLOW = ROOT / ".airflow" / "bin"
DEPLOYED = ROOT / "deploy" / "airflow"
KEYS = {"accounts": "account_id", "people": "person_id"}
ENDED = {"success", "failed"}
SERVICES = ("api-server", "dag-processor", "scheduler")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.airflow,
    pytest.mark.timeout(1200),
]


@dataclass
class Airflow:
    """A running Airflow with the DAG, two tenants of uapi and a warehouse.

    Args:
        home: Folder of Airflow; DAG, logs and the plugins' state are in it.
        environment: Variables of all its processes.
        postgres: Database of Airflow, and the warehouse in schemas named by tenants.
        tenants: The tenants by name.
    """

    home: Path
    environment: dict[str, str]
    postgres: Postgres
    tenants: dict[str, Sandbox]
    most_running: Counter[str] = field(default_factory=Counter)
    """Most tasks of a pool that were seen running at once."""

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [AIRFLOW / "airflow", *arguments], env=self.environment, cwd=self.home,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def query(self, query: str) -> list[dict[str, Any]]:
        return self.postgres.rows(query)

    def trigger(self, dag: str, run: str, **conf: Any) -> None:  # noqa: ANN401
        self("dags", "trigger", dag, "--run-id", run, "--conf", json.dumps(conf))

    def tasks(self, run: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the state and tries of a run's mapped tasks, by tenant and state id."""
        found = self.query(
            "SELECT task_id, rendered_map_index, state, try_number FROM task_instance "  # noqa: S608
            f"WHERE run_id = '{run}' AND map_index >= 0"
        )
        return {(each["task_id"], each["rendered_map_index"]): each for each in found}

    def wait(self, run: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Wait for the end of a run and return its state; count the running tasks of pools."""

        def state() -> str | None:
            meanwhile()
            running = "SELECT pool FROM task_instance WHERE state = 'running'"
            now = Counter(each["pool"] for each in self.query(running))
            self.most_running |= now
            [found] = self.query(f"SELECT state FROM dag_run WHERE run_id = '{run}'")  # noqa: S608
            return found["state"] if found["state"] in ENDED else None

        ended: str = until(state, 600)
        return ended

    def rows(self, tenant: str, stream: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a stream in the warehouse by key, without what the loader adds."""
        found = self.query(f'SELECT * FROM "{tenant}"."{stream}"')  # noqa: S608
        rows = {
            str(row[KEYS[stream]]): {k: v for k, v in row.items() if not k.startswith("_sdc")}
            for row in found
        }
        assert len(rows) == len(found)
        return rows

    def log(self, run: str) -> str:
        """Return the logs of all tasks of a run."""
        return "".join(
            path.read_text(encoding="utf-8")
            for path in sorted(self.home.glob(f"logs/*/run_id={run}/**/*.log"))
        )


def until(check: Callable[[], Any], seconds: float = 120) -> Any:  # noqa: ANN401
    """Return what a function returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    options = SandboxOptions(pending_seconds=0, processing_seconds=5)
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        tenants = {name: stack.enter_context(Sandbox(options)) for name in ("acme", "globex")}
        loader = install_plugin("target-postgres", home / "target-postgres")
        (home / "dags").mkdir()
        shutil.copy(DEPLOYED / "demandbase_dag.py", home / "dags")
        config = {
            "state_dir": str(home / "state"),
            "path": str(BIN),
            "loader": f"{loader} --config=ENV",
            "settings": {
                "stream_options": {stream: {"replication_key": "updated_at"} for stream in KEYS}
            },
            "tenants": {
                name: {
                    "api": "uapi",
                    "streams": [*KEYS],
                    "settings": {"api_url": sandbox.uapi_url},
                    "env": {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": name},
                }
                for name, sandbox in tenants.items()
            },
        }
        (home / "dags" / "demandbase.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(value)
                for name, value in postgres.config.items()
            },
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for the time of this test, " * 3,
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"postgresql+psycopg2://postgres@127.0.0.1:{postgres.port}/postgres"
            ),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW_CONN_DEMANDBASE_ACME": connection(tenants["acme"]),
        }
        found = Airflow(home, environment, postgres, tenants)
        found("db", "migrate")
        found(
            "connections", "add", "demandbase_globex", "--conn-json", connection(tenants["globex"])
        )
        for service in SERVICES:
            stack.enter_context(running(found, service))
        until(lambda: answers(f"{address}/api/v2/version"))
        yield found


def connection(tenant: Sandbox) -> str:
    """Return a connection as JSON."""
    credentials = {"login": tenant.client_id, "password": tenant.client_secret}
    return json.dumps({"conn_type": "generic", **credentials})


@contextmanager
def running(airflow: Airflow, service: str) -> Iterator[None]:
    """Run a service of Airflow."""
    log = (airflow.home / f"{service}.log").open("w", encoding="utf-8")
    with log, subprocess.Popen(
        [AIRFLOW / "airflow", service], env=airflow.environment, cwd=airflow.home,
        stdout=log, stderr=log, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield
        finally:
            for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.wait(seconds)


def answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(address, timeout=30):  # noqa: S310
        return True
    return False


def processes(**variables: str) -> list[int]:
    """Return the ids of the processes that have these variables."""
    wanted = {f"{name}={value}".encode() for name, value in variables.items()}
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                if wanted <= {*(folder / "environ").read_bytes().split(b"\0")}:
                    found.append(int(folder.name))
    return found


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def jobs(tenant: Sandbox) -> Counter[str]:
    """Return the number of export jobs that were created, by entity."""
    return Counter(job["entityType"] for job in tenant.export_jobs())


def test_airflow_imports_both_dags(airflow: Airflow) -> None:
    found = until(lambda: airflow.query("SELECT dag_id FROM dag ORDER BY dag_id"))
    until(lambda: airflow.query("SELECT 1 FROM dag WHERE dag_id = 'demandbase_backfill'"))
    assert {each["dag_id"] for each in found} <= {"demandbase", "demandbase_backfill"}
    assert airflow.query("SELECT * FROM import_error") == []


def test_a_missing_pool_is_the_reason_why_tasks_do_not_start(airflow: Airflow) -> None:
    airflow("dags", "unpause", "demandbase")
    airflow.trigger("demandbase", "first")
    reason = "Tasks using non-existent pool 'demandbase_acme' will not be scheduled"
    until(lambda: reason in (airflow.home / "scheduler.log").read_text(encoding="utf-8"))
    assert reason in airflow("tasks", "failed-deps", "demandbase", "acme", "first", "--map-index=0")
    assert {each["state"] for each in airflow.tasks("first").values()} == {"scheduled"}
    assert not any(tenant.export_jobs() for tenant in airflow.tenants.values())


def test_rows_arrive_once_although_tasks_are_killed(airflow: Airflow) -> None:
    """One tenant has no quota; of the other, one task and the plugins of another are killed."""
    acme, globex = airflow.tenants.values()
    quota = Fault("createExportJob", Effect.STATUS, code="429-101", times=None)
    globex.add_fault(quota)
    file = airflow.home / "pools.json"
    script = [AIRFLOW / "python", airflow.home / "dags" / "demandbase_dag.py"]
    file.write_bytes(subprocess.run(script, check=True, capture_output=True).stdout)
    airflow("pools", "import", file)

    victims = {"account": kill_task, "person": kill_plugins}

    def kill() -> None:
        for job in acme.export_jobs():
            if job["status"] == "processing" and job["entityType"] in victims:
                victims.pop(job["entityType"])()

    assert airflow.wait("first", kill) == "success"
    assert victims == {}
    states = {key: each["state"] for key, each in airflow.tasks("first").items()}
    assert states == {
        ("acme", "accounts"): "success",
        ("acme", "people"): "success",
        ("globex", "accounts"): "skipped",
        ("globex", "people"): "skipped",
    }
    for stream in KEYS:
        expected = {str(row[KEYS[stream]]) for row in acme.rows(stream)}
        assert airflow.rows("acme", stream).keys() == expected
    assert jobs(acme) == {"account": 1, "person": 1}
    assert airflow.most_running["demandbase_acme"] == 1
    assert [each.status for each in acme.requests("createExportJob")] == [202, 202]
    assert "The export quota of 24 hours is used up" in airflow.log("first")
    globex.clear_faults()


def kill_plugins() -> None:
    """Kill all processes of a task, but not the task."""
    found = processes(AIRFLOW_CTX_TASK_ID="acme", STATE_ID="people")
    assert len(found) >= 4
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def kill_task() -> None:
    """Kill the process of a task; its plugins must end with it."""
    plugins = {"AIRFLOW_CTX_TASK_ID": "acme", "STATE_ID": "accounts"}
    found = processes(**plugins)
    [task] = {parent(process) for process in found} - {*found}
    os.kill(task, signal.SIGKILL)
    until(lambda: not {*found} & {*processes(**plugins)}, 10)


def test_the_next_run_has_the_state_of_the_last(airflow: Airflow) -> None:
    """And the tenant that had no quota is exported."""
    acme, globex = airflow.tenants.values()
    before = state_of(airflow, "acme", "people")
    assert before["bookmarks"]["people"]["replication_key_value"].startswith("20")
    airflow.trigger("demandbase", "second")
    assert airflow.wait("second") == "success"
    assert {each["state"] for each in airflow.tasks("second").values()} == {"success"}
    filters = [each.body["filters"] for each in acme.requests("createExportJob")[-2:]]
    assert all(window_of(each)[0] is not None for each in filters), filters
    assert jobs(acme) == {"account": 2, "person": 2}
    for name, tenant in airflow.tenants.items():
        for stream in KEYS:
            expected = {str(row[KEYS[stream]]) for row in tenant.rows(stream)}
            assert airflow.rows(name, stream).keys() == expected
    assert jobs(globex) == {"account": 1, "person": 1}
    assert max(airflow.most_running.values()) == 1


def state_of(airflow: Airflow, tenant: str, state_id: str) -> dict[str, Any]:
    file = airflow.home / "state" / tenant / "state" / f"{state_id}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_a_backfill_in_pieces_is_the_whole(airflow: Airflow) -> None:
    whole = {
        (name, stream): airflow.rows(name, stream) for name in airflow.tenants for stream in KEYS
    }
    for name, stream in whole:
        airflow.postgres.execute(f'TRUNCATE "{name}"."{stream}"')
    before = state_of(airflow, "acme", "people")
    airflow("dags", "unpause", "demandbase_backfill")
    dates = {"start_date": "2025-12-01", "end_date": "2025-12-31", "days": 15}
    airflow.trigger("demandbase_backfill", "backfill", **dates)
    assert airflow.wait("backfill") == "success"
    assert set(airflow.tasks("backfill")) == {
        (name, f"{stream}-{piece}")
        for name, stream in whole
        for piece in ("2025-12-01-2025-12-16", "2025-12-16-2025-12-31")
    }
    for (name, stream), rows in whole.items():
        assert airflow.rows(name, stream) == rows
    assert state_of(airflow, "acme", "people") == before
    assert max(airflow.most_running.values()) == 1


def test_no_secret_is_in_a_log_or_a_template(airflow: Airflow) -> None:
    assert "tap-demandbase --config=ENV" in airflow.log("first")
    texts = {
        str(path.relative_to(airflow.home)): path.read_bytes()
        for path in airflow.home.rglob("*")
        if path.is_file() and "target-postgres" not in path.parts
    }
    tables = airflow.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for name in (each["tablename"] for each in tables):
        rows = airflow.query(f'SELECT t::text AS text FROM public."{name}" t')  # noqa: S608
        texts[name] = "".join(row["text"] or "" for row in rows).encode()
    assert "STATE_ID" in texts["rendered_task_instance_fields"].decode()
    for tenant in airflow.tenants.values():
        secrets = [tenant.client_secret, *tenant.issued_tokens()]
        found = {
            place for place, text in texts.items() for each in secrets if each.encode() in text
        }
        assert found == set()


TENANTS = "tenants: {acme: {api: uapi, streams: [accounts]}}"
FILE = "state_dir: /state\nloader: target-jsonl"


WRONG = [
    (None, "cannot be read: No such file or directory."),
    ("a: [", "is not valid YAML in line 1."),
    ("", "the file must be a mapping."),
    (f"{FILE}\n{TENANTS}\nstate_dirs: x", "the file has no member state_dirs."),
    (f"loader: target-jsonl\n{TENANTS}", "state_dir of the file is missing."),
    (f"{FILE}\ntenants: [acme]", "tenants of the file must be a mapping."),
    (f"{FILE}\ntenants: {{acme: }}", "the tenant acme must be a mapping."),
    (f"{FILE}\ntenants: {{a-b: {{}}}}", "the tenant a-b must have a name of letters"),
    (
        f"{FILE}\ntenants: {{acme: {{api: v3, streams: [accounts]}}}}",
        "api of the tenant acme must be one of uapi, v1.",
    ),
    (
        f"{FILE}\ntenants: {{acme: {{api: v1, streams: accounts}}}}",
        "streams of the tenant acme must be a list.",
    ),
    (
        f"{FILE}\ntenants: {{acme: {{api: v1, streams: [people, people]}}}}",
        "streams of the tenant acme must be different names.",
    ),
    (
        f"{FILE}\n{TENANTS}\nsettings: {{client_secret: x}}",
        "settings of the file must not have client_secret: put it into the connection",
    ),
]
READ = """
import sys
from pathlib import Path
import demandbase_dag
for name in sys.argv[1:]:
    try:
        demandbase_dag.read_config(Path(name))
    except demandbase_dag.ConfigError as error:
        print(error)
"""


def test_a_wrong_file_of_tenants_is_named_with_its_member(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.yml" for number, _ in enumerate(WRONG)]
    for file, (config, _) in zip(files, WRONG, strict=True):
        if config is not None:
            file.write_text(config, encoding="utf-8")
    done = subprocess.run(
        [AIRFLOW / "python", "-c", READ, *files],
        cwd=DEPLOYED, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout.splitlines()
    for file, (_, sentence), line in zip(files, WRONG, said, strict=True):
        assert line.startswith(str(file))
        assert sentence in line


PLAN = """
import json, sys
import demandbase_dag
from airflow.sdk.exceptions import AirflowFailException
for params in json.load(sys.stdin):
    for tenant in demandbase_dag.TENANTS:
        try:
            found = demandbase_dag.backfill(tenant, params)
            print(tenant.name, *(each["STATE_ID"] for each in found))
        except AirflowFailException as error:
            print(error)
"""


def test_pieces_of_a_backfill_and_what_cannot_be_cut() -> None:
    given: dict[str, Any] = {
        "start_date": "2024-01-01", "end_date": "2026-01-01", "days": 366, "streams": [],
    }  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {"streams": ["opportunities"]},
        {"streams": ["visits"]},
        {"end_date": "2024-01-01"},
    ]
    done = subprocess.run(
        [AIRFLOW / "python", "-c", PLAN],
        input=json.dumps([{**given, **each} for each in ({"streams": ["people"]}, {}, *wrong)]),
        cwd=DEPLOYED, capture_output=True, text=True, check=True,
    )  # fmt: skip
    one, _, all_of_acme, _, whole, _, unknown, _, empty, _ = done.stdout.splitlines()
    assert one == "acme people-2024-01-01-2025-01-01 people-2025-01-01-2026-01-01"
    assert len(all_of_acme.split()) == 5
    assert "opportunities of acme cannot be exported in pieces" in whole
    assert unknown.endswith("has visits.")
    assert empty == "start_date must be before end_date."


@pytest.mark.parametrize("name", ["wrong.yml", "demandbase.yml"])
def test_the_file_prints_the_pools_or_what_is_wrong(tmp_path: Path, name: str) -> None:
    """As Airflow shows it, as an import error."""
    (tmp_path / "wrong.yml").write_text(f"{FILE}\n{TENANTS}\nstate: x", encoding="utf-8")
    shutil.copy(DEPLOYED / "demandbase.yml", tmp_path)
    done = subprocess.run(
        [AIRFLOW / "python", DEPLOYED / "demandbase_dag.py"],
        env={**os.environ, "DEMANDBASE_DAG_CONFIG": str(tmp_path / name)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if name == "wrong.yml":
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"ConfigError: {tmp_path}/wrong.yml: the file has no member state.")
    else:
        slots = {name: pool["slots"] for name, pool in json.loads(done.stdout).items()}
        assert slots == {"demandbase_acme": 1, "demandbase_globex": 2}


RUN_TASKS = """
import json, sys
import demandbase_dag
from airflow.sdk.exceptions import AirflowFailException
for tenant, stream in (("acme", "people"), ("acme", "visits"), ("globex", "people")):
    pipe = demandbase_dag.PluginPipe(
        task_id="task",
        bash_command=sys.argv[2],
        append_env=True,
        env={"TAP_DEMANDBASE_ENTITIES": json.dumps([stream])},
        connection=f"demandbase_{tenant}",
        secrets=demandbase_dag.SECRETS["uapi"],
        catalog=sys.argv[1],
    )
    try:
        pipe.execute({})
    except AirflowFailException as error:
        print(error)
"""


def test_a_task_has_its_part_of_the_catalog_and_its_credentials(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.json"
    streams = [{"tap_stream_id": name, "stream": name} for name in ("accounts", "people")]
    catalog.write_text(json.dumps({"streams": streams}), encoding="utf-8")
    script = (
        f"cp catalog.json {tmp_path}/part.json; "
        f"printenv TAP_DEMANDBASE_CLIENT_SECRET > {tmp_path}/found"
    )
    done = subprocess.run(
        [AIRFLOW / "python", "-c", RUN_TASKS, catalog, script],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CONN_DEMANDBASE_ACME": json.dumps(
                {"conn_type": "generic", "login": "id", "password": "secret-of-acme"}
            ),
            "AIRFLOW_CONN_DEMANDBASE_GLOBEX": '{"conn_type": "generic", "login": "id"}',
        },
        cwd=DEPLOYED, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads((tmp_path / "part.json").read_text()) == {"streams": streams[1:]}
    said = done.stdout + done.stderr
    assert f"The catalog {catalog} does not have the stream visits." in said
    assert "The connection demandbase_globex has no password." in said
    assert (tmp_path / "found").read_text() == "secret-of-acme\n"
    assert "secret-of-acme" not in said


@pytest.fixture(scope="module")
def pipe() -> Callable[[str, str], str]:
    """Returns the script of a task for a tap and a loader."""
    code = "import demandbase_dag, sys; print(demandbase_dag.PIPE)"
    done = subprocess.run(
        [AIRFLOW / "python", "-c", code], cwd=DEPLOYED, capture_output=True, text=True, check=True
    )
    template = done.stdout
    return lambda tap, loader: template.format(path=f"{BIN}:", tap=tap, loader=loader)


def start(script: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/bin/bash", "-c", script], cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "STATE_ID": "accounts",
            "TAP_DEMANDBASE_STATE_DIR": str(folder / "state"),
            **variables,
        },
    )  # fmt: skip


STATE = """echo '{"bookmarks": {"accounts": {"n": 1}}}'"""


@pytest.mark.parametrize(
    ("tap", "loader", "code"),
    [
        ("exit 0", "cat >&2; exit 0", 0),
        ("exit 75", "cat >&2; exit 0", 75),
        ("exit 0", "cat >&2; exit 75", 75),
        ("exit 75", "cat >&2; exit 1", 1),
        ("exit 1", "cat >&2; exit 0", 1),
        ("kill -9 $$", "cat >&2; exit 0", 137),
        # The loader ends first, and the tap only because nobody reads what it writes.
        ("while echo x; do :; done; exit 1", "exit 75", 75),
    ],
)
def test_the_exit_code_of_a_pipe(
    tmp_path: Path, pipe: Callable[[str, str], str], tap: str, loader: str, code: int
) -> None:
    script = pipe(f"bash -c '{tap}' tap", f"bash -c '{loader}'")
    process = start(script, tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert not (tmp_path / "state" / "state").exists()


def test_a_failed_pipe_keeps_the_state_that_the_loader_has_printed(
    tmp_path: Path, pipe: Callable[[str, str], str]
) -> None:
    (tmp_path / "loader").write_text(f"cat > messages; {STATE}; exit 1")
    process = start(pipe("bash -c 'echo \"$0\" && exit 75'", "bash loader"), tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert (tmp_path / "messages").read_text() == f"--state={tmp_path}/state.json\n"
    kept = json.loads((tmp_path / "state" / "state" / "accounts.json").read_text())
    assert kept == {"bookmarks": {"accounts": {"n": 1}}}


def test_a_place_of_states_that_fails_ends_a_pipe_before_the_tap(
    tmp_path: Path, pipe: Callable[[str, str], str]
) -> None:
    (tmp_path / "file").touch()
    process = start(
        pipe("bash -c 'touch started' tap", "cat"),
        tmp_path,
        TAP_DEMANDBASE_STATE_DIR=str(tmp_path / "file" / "state"),
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "state_dir" in output
    assert not (tmp_path / "started").exists()


def test_a_pipe_that_is_stopped_waits_for_the_loader_and_its_state(
    tmp_path: Path, pipe: Callable[[str, str], str]
) -> None:
    (tmp_path / "tap").write_text("trap 'exit 143' TERM; touch runs; while :; do sleep 0.1; done")
    (tmp_path / "loader").write_text(f"trap : TERM; cat; while read -r; do :; done; {STATE}")
    process = start(pipe("bash tap", "bash loader"), tmp_path)
    until((tmp_path / "runs").exists, 30)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert (tmp_path / "state" / "state" / "accounts.json").exists()


def test_meltano_keeps_the_exit_code_and_has_the_state(
    tmp_path: Path, pipe: Callable[[str, str], str]
) -> None:
    project = tmp_path / "project"
    (project / "output").mkdir(parents=True)
    copy_project(ROOT, project)
    script = pipe("meltano invoke tap-demandbase", "meltano invoke target-jsonl")
    options = SandboxOptions(pending_seconds=0, processing_seconds=0)
    with (
        installed(ROOT, lambda: meltano(ROOT, {}, "install", "--clean")),
        Sandbox(options) as tenant,
    ):
        share_plugins(ROOT, project)
        meltano(project, {}, "state", "list")  # creates the database of the project

        def run() -> tuple[int, str]:
            process = start(
                script,
                tmp_path,
                MELTANO_PROJECT_ROOT=str(project),
                TARGET_JSONL_DESTINATION_PATH=str(project / "output"),
                TAP_DEMANDBASE_API_URL=tenant.url,
                TAP_DEMANDBASE_ACCESS_TOKEN=tenant.token,
                TAP_DEMANDBASE_ENTITIES='["accounts"]',
                TAP_DEMANDBASE_STREAM_OPTIONS='{"accounts": {"replication_key": "updated_at"}}',
            )
            output, _ = process.communicate(timeout=300)
            return process.returncode, output

        code, output = run()
        assert code == 0, output
        [file] = project.glob("output/accounts*.jsonl")
        assert len(file.read_text(encoding="utf-8").splitlines()) == len(tenant.rows("accounts"))
        tenant.clear_requests()
        code, output = run()
        assert code == 0, output
        [request] = tenant.requests("createExportJob")
        assert window_of(request.body["filters"])[0] is not None
        tenant.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
        code, output = run()
        assert code == 75, output
