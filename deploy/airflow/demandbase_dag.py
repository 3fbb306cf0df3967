"""Exports Demandbase tenants: a task for each stream, and a pool for each tenant.

The DAG ``demandbase`` runs on a schedule. ``demandbase_backfill`` is triggered by hand, and exports
a range of dates in pieces. Both read demandbase.yml in the folder of this file, or the file that
the variable DEMANDBASE_DAG_CONFIG names. ``python demandbase_dag.py`` prints the pools.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Connection, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Context

CONFIG = Path(os.environ.get("DEMANDBASE_DAG_CONFIG") or Path(__file__).with_name("demandbase.yml"))
TRY_LATER = 75
"""Exit code of the plugins if the same run may succeed later, as when a quota is used up."""
QUOTA_WAIT_HOURS = 25
"""A backfill has no next interval: its tasks wait for the quota of the next day."""

SLOTS = {"uapi": 1, "v1": 2}
"""Export jobs that a tenant runs at a time, by API."""
SECRETS = {
    "uapi": {"TAP_DEMANDBASE_CLIENT_ID": "login", "TAP_DEMANDBASE_CLIENT_SECRET": "password"},
    "v1": {"TAP_DEMANDBASE_ACCESS_TOKEN": "password"},
}
"""Members of the connection by variable, by API."""

# The status of a pipe is that of its last command that fails (pipefail): a loader that fails counts
# before the tap, which then fails only because nobody reads its output.
PIPE = """\
set -euo pipefail
PATH={path}$PATH

# If the task is killed, its plugins must not go on while the next attempt runs. They are killed,
# too: SIGTERM would make the tap cancel its job, which the next attempt adopts.
(while kill -0 $PPID; do sleep 1; done; kill -KILL 0) < /dev/null &> /dev/null &
trap 'kill $! 2> /dev/null || true' EXIT
# If the task is stopped, all of this gets SIGTERM. It ends when the plugins have ended, and their
# last state is kept.
trap : TERM

demandbase state get "$STATE_ID" > state.json
options=(--state="$PWD/state.json")
test ! -e catalog.json || options+=(--catalog="$PWD/catalog.json")
{tap} "${{options[@]}}" | {loader} |
  (trap '' TERM; exec demandbase state put "$STATE_ID")
"""


class ConfigError(ValueError):
    """The file of tenants is wrong."""


@dataclass(frozen=True)
class Tenant:
    """A tenant and the streams to export.

    Args:
        name: Its name, and that of its folder in ``state_dir``.
        api: Its API.
        streams: Names of streams, one task each.
        settings: Settings of tap-demandbase.
        env: Variables of the plugins.
        catalog: File with the catalog, if there is one.
    """

    name: str
    api: str
    streams: list[str]
    settings: dict[str, Any]
    env: dict[str, str]
    catalog: str | None

    @property
    def pool(self) -> str:
        """Name of the pool, and of the connection."""
        return f"demandbase_{self.name}"

    @property
    def slots(self) -> int:
        """Size of the pool."""
        return SLOTS[self.api]

    def variables(self, stream: str, state_id: str, **settings: str | float) -> dict[str, str]:
        """Return the variables of a task; secrets are not among them."""
        chosen = {**self.settings, "api": self.api, "entities": [stream], **settings}
        return {
            **self.env,
            **{f"TAP_DEMANDBASE_{name.upper()}": _text(value) for name, value in chosen.items()},
            "STATE_ID": state_id,
        }

    def is_incremental(self, stream: str) -> bool:
        """Return whether a stream has a replication key."""
        options = (self.settings.get("stream_options") or {}).get(stream) or {}
        return bool(options.get("replication_key"))


def read_config(path: Path) -> tuple[dict[str, Any], list[Tenant]]:
    """Return the file of tenants, and the tenants.

    Raises:
        ConfigError: It cannot be read, or a member is wrong; the message names it.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        _check(config, "the file", MEMBERS)
        return config, [_tenant(path, config, *item) for item in config["tenants"].items()]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" in line {mark.line + 1}"
        raise ConfigError(f"{path} is not valid YAML{place}.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


# Members by name: their type, and whether they must be there.
MEMBERS = {
    "state_dir": (str, True),
    "loader": (str, True),
    "tenants": (dict, True),
    "schedule": (str, False),
    "path": (str, False),
    "tap": (str, False),
    "settings": (dict, False),
    "env": (dict, False),
}
TENANT_MEMBERS = {
    "api": (str, True),
    "streams": (list, True),
    "settings": (dict, False),
    "env": (dict, False),
    "catalog": (str, False),
}
KINDS = {str: "a text", dict: "a mapping", list: "a list"}
OTHER_PLACES = {
    "access_token": "put it into the connection of the tenant",
    "client_id": "put it into the connection of the tenant",
    "client_secret": "put it into the connection of the tenant",
    "api": "it is a member of the tenant",
    "entities": "the member streams of the tenant has them",
    "state_dir": "it is a member of the file",
}
"""Settings of the tap that are set elsewhere."""


def _check(found: object, where: str, members: Mapping[str, tuple[type, bool]]) -> None:
    if not isinstance(found, dict):
        raise ConfigError(f"{where} must be a mapping.")
    for name, value in found.items():
        if name not in members:
            raise ConfigError(f"{where} has no member {name}. It may have {', '.join(members)}.")
        kind = members[name][0]
        if not isinstance(value, kind):
            raise ConfigError(f"{name} of {where} must be {KINDS[kind]}.")
    for name, (_, is_needed) in members.items():
        if is_needed and not found.get(name):
            raise ConfigError(f"{name} of {where} is missing.")
    for name in found.get("settings", {}):
        if name in OTHER_PLACES:
            raise ConfigError(f"settings of {where} must not have {name}: {OTHER_PLACES[name]}.")


def _tenant(path: Path, config: dict[str, Any], name: object, own: Any) -> Tenant:  # noqa: ANN401
    where = f"the tenant {name}"
    if not (isinstance(name, str) and re.fullmatch(r"\w+", name, re.ASCII)):
        raise ConfigError(f"{where} must have a name of letters, digits and “_” only.")
    _check(own, where, TENANT_MEMBERS)
    if own["api"] not in SLOTS:
        raise ConfigError(f"api of {where} must be one of {', '.join(SLOTS)}.")
    streams = own["streams"]
    if not all(isinstance(stream, str) for stream in streams) or len({*streams}) < len(streams):
        raise ConfigError(f"streams of {where} must be different names.")
    settings = {**config.get("settings", {}), **own.get("settings", {})}
    env = {**config.get("env", {}), **own.get("env", {})}
    return Tenant(
        name=name,
        api=own["api"],
        streams=streams,
        settings={**settings, "state_dir": f"{config['state_dir'].rstrip('/')}/{name}"},
        env={variable: _text(value) for variable, value in env.items()},
        catalog=str(path.parent / own["catalog"]) if "catalog" in own else None,
    )


def _text(value: object) -> str:
    """Return a value as a variable has it."""
    return str(value) if isinstance(value, str | date) else json.dumps(value)


class PluginPipe(BashOperator):
    """Runs the tap and the loader for one stream.

    Credentials are read from the connection when the plugins start: no template has them.

    Args:
        connection: Id of the connection.
        secrets: Members of the connection by variable.
        catalog: File with a catalog, of which the tap gets the stream of the task.
    """

    def __init__(
        self,
        *,
        connection: str,
        secrets: Mapping[str, str],
        catalog: str | None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.secrets = secrets
        self.catalog = catalog

    def get_env(self, context: Context) -> dict[str, str]:
        """Return the variables of the plugins."""
        connection = Connection.get(self.connection)
        secrets = {name: getattr(connection, member) for name, member in self.secrets.items()}
        for name, value in secrets.items():
            if not value:
                member = self.secrets[name]
                raise AirflowFailException(f"The connection {self.connection} has no {member}.")
        return {**super().get_env(context), **secrets}

    def execute(self, context: Context) -> None:
        """Run the plugins in a folder of their own."""
        with TemporaryDirectory() as folder:
            if self.catalog is not None:
                self._write_catalog(Path(self.catalog), Path(folder, "catalog.json"))
            self.cwd = folder
            super().execute(context)

    def _write_catalog(self, source: Path, file: Path) -> None:
        [stream] = json.loads(self.env["TAP_DEMANDBASE_ENTITIES"])
        streams = json.loads(source.read_text(encoding="utf-8"))["streams"]
        own = [each for each in streams if each["tap_stream_id"] == stream]
        if not own:
            raise AirflowFailException(f"The catalog {source} does not have the stream {stream}.")
        file.write_text(json.dumps({"streams": own}), encoding="utf-8")


def ranges(start: date, end: date, days: int) -> Iterator[tuple[date, date]]:
    """Yield the first and last days of pieces of a range.

    Pieces share a day, since no document says whether Demandbase includes both ends.
    """
    while start < end:
        stop = min(start + timedelta(days=days), end)
        yield start, stop
        start = stop


def backfill(tenant: Tenant, params: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the variables of the tasks of a backfill: one for each stream and piece of the range.

    Each task has a state of its own, so a repeated one goes on where it was.

    Raises:
        AirflowFailException: A stream cannot be exported in pieces, or a parameter is wrong.
    """
    asked = params["streams"]
    if unknown := {*asked} - {stream for each in TENANTS for stream in each.streams}:
        raise AirflowFailException(f"No tenant in {CONFIG} has {', '.join(sorted(unknown))}.")
    streams = [stream for stream in tenant.streams if not asked or stream in asked]
    whole = [stream for stream in streams if not tenant.is_incremental(stream)]
    if asked and whole:
        raise AirflowFailException(
            f"{', '.join(whole)} of {tenant.name} cannot be exported in pieces: {CONFIG} sets no "
            "replication_key in stream_options."
        )
    start, end = (date.fromisoformat(params[name]) for name in ("start_date", "end_date"))
    if start >= end:
        raise AirflowFailException("start_date must be before end_date.")
    return [
        tenant.variables(
            stream,
            f"{stream}-{first}-{last}",
            start_date=str(first),
            end_date=str(last),
            quota_wait_hours=QUOTA_WAIT_HOURS,
        )
        for first, last in ranges(start, end, params["days"])
        for stream in streams
        if stream not in whole
    ]


PARAMS = {
    "start_date": Param("2020-01-01", type="string", format="date"),
    "end_date": Param("2026-01-01", type="string", format="date"),
    "days": Param(366, type="integer", minimum=1, description="Days of each task."),
    "streams": Param(
        [], type="array", items={"type": "string"}, description="Default: all incremental ones."
    ),
}


def make_dags(config: Mapping[str, Any], tenants: list[Tenant]) -> list[DAG]:
    """Return the DAG of the schedule, and that of backfills."""
    common = {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "max_active_tasks": sum(tenant.slots for tenant in tenants),
        "doc_md": __doc__,
        "tags": ["demandbase"],
    }

    def plugin_pipe(tenant: Tenant, **options: Any) -> Any:  # noqa: ANN401
        return PluginPipe.partial(
            task_id=tenant.name,
            pool=tenant.pool,
            bash_command=PIPE.format(
                path=shlex.quote(f"{config['path']}:") if "path" in config else "",
                tap=config.get("tap", "tap-demandbase --config=ENV"),
                loader=config["loader"],
            ),
            append_env=True,
            connection=tenant.pool,
            secrets=SECRETS[tenant.api],
            catalog=tenant.catalog,
            map_index_template="{{ task.env['STATE_ID'] }}",
            do_xcom_push=False,
            **options,
        )

    # A mapped task has one pool, so there is one for each tenant, mapped over its streams.
    with DAG("demandbase", schedule=config.get("schedule"), **common) as regular:
        for tenant in tenants:
            plugin_pipe(
                tenant,
                skip_on_exit_code=TRY_LATER,
                retries=2,
                priority_weight=2,  # before those of a backfill
            ).expand(env=[tenant.variables(stream, stream) for stream in tenant.streams])
    with DAG("demandbase_backfill", schedule=None, params=PARAMS, **common) as by_hand:
        for tenant in tenants:

            @task(task_id=f"{tenant.name}_pieces")
            def pieces(name: str) -> list[dict[str, str]]:
                [own] = [each for each in tenants if each.name == name]
                return backfill(own, get_current_context()["params"])

            plugin_pipe(tenant, skip_on_exit_code=None, retries=5).expand(env=pieces(tenant.name))
    return [regular, by_hand]


CONFIGURATION, TENANTS = read_config(CONFIG)
if __name__ == "__main__":
    pools = {
        tenant.pool: {
            "slots": tenant.slots,
            "description": f"Export jobs of {tenant.name}",
            "include_deferred": False,
        }
        for tenant in TENANTS
    }
    json.dump(pools, sys.stdout, indent=2)
else:
    demandbase, demandbase_backfill = make_dags(CONFIGURATION, TENANTS)
