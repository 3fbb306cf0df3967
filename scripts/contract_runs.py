"""Runs of the installed commands against the sandbox: what the pair sends in all its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import requests
from contract_exchanges import recording

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from demandbase_sandbox.operations import DAILY_CALLS
from demandbase_sandbox.routing import DOCUMENT_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract_documents import ApiDocument, Documents, Exchange

Message: TypeAlias = dict[str, Any]

_TIMEOUT = 120
_DAYS: dict[str, Any] = {"start_date": "2026-01-10", "end_date": "2026-01-20"}
_REPORTS = {
    "campaigns": {"ad_report_type": "summary", "source": ["google", "linkedin"]},
    "creatives": {"ad_report_type": "performance"},
}
_SOURCE = "HubSpot"
_LABELS = {
    "accounts": {"id": "External Account ID", "name": "Account Name", "domain": "Account Domain"},
    "people": {
        "id": "External Person Id",
        "email": "Email",
        "first": "First Name",
        "last": "Last Name",
    },
    "opportunities": {
        "id": "External Opportunity ID",
        "name": "Opportunity Name",
        "company": "Account Name",
        "domain": "Account Domain",
    },
    "activities": {"person": "External Person Id", "at": "Activity Date"},
}
_ROWS = {
    "accounts": {"id": "acc-00000001", "name": "Stark 1", "domain": "company1.example"},
    "people": {"id": "n1", "email": "n1@a.example", "first": "Ada", "last": "Lovelace"},
    "opportunities": {
        "id": "opp-n1", "name": "A deal", "company": "Stark 1", "domain": "company1.example",
    },
    "activities": {"person": "per-00000001", "at": "2026-01-02T03:04:05Z"},
}  # fmt: skip
_V1_ROWS = {
    "accounts": {"domain": "company1.example", "name": "Stark 1", "employee_count": "many"},
    "people": {"email": "n1@a.example", "first_name": "Ada"},
    "opportunities": {"opportunity_id": "opp-00000001", "name": "A deal"},
    "activities": {"activity_id": "act-n1", "activity_type": "web_visit", "subject": "A visit"},
}


class Tenant:
    """A sandbox whose exchanges are recorded, and commands that use it.

    Args:
        api: The API in use.
        sandbox: The sandbox.
        url: Address of the proxy before it.
        folder: Folder for what the commands write.
        begin: Called with the name of each run.
    """

    def __init__(
        self, api: str, sandbox: Sandbox, url: str, folder: Path, begin: Callable[[str], None]
    ) -> None:
        self.api, self.sandbox, self.url = api, sandbox, url
        self._folder = folder
        self._begin = begin

    def command(
        self,
        name: str,
        *arguments: str,
        code: int = 0,
        text: str = "",
        **settings: Any,  # noqa: ANN401
    ) -> str:
        """Run an installed command; return what it printed.

        Raises:
            RuntimeError: It ended with another exit code.
        """
        self._begin(f"{name} {' '.join(arguments)}".strip())
        if self.api == "v1":
            own = {"access_token": self.sandbox.token}
        else:
            own = {
                "client_id": self.sandbox.client_id,
                "client_secret": self.sandbox.client_secret,
            }
        config: dict[str, Any] = {
            "api": self.api,
            "api_url": self.url,
            "poll_interval_seconds": 1,
            "state_dir": str(self._folder / "state"),
            **own,
            **settings,
        }
        path = self._folder / "config.json"
        given = {name: value for name, value in config.items() if value is not None}
        path.write_text(json.dumps(given), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - the project's own command
            [str(Path(sys.executable).with_name(name)), "--config", str(path), *arguments]
            if name != "demandbase"
            else [str(Path(sys.executable).with_name(name)), *arguments, "--config", str(path)],
            input=text, capture_output=True, text=True, check=False, cwd=self._folder,
            timeout=_TIMEOUT, env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
        )  # fmt: skip
        if done.returncode != code:
            raise RuntimeError(f"{name} {arguments} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def export(self, *entities: str, code: int = 0, **settings: Any) -> str:  # noqa: ANN401
        """Run the tap over some entities."""
        return self.command(
            "tap-demandbase", code=code, entities=[*entities] or None, job_reuse_hours=0, **settings
        )

    def export_catalog(self, *streams: str, **settings: Any) -> str:  # noqa: ANN401
        """Run the tap over some streams of its catalog."""
        catalog = json.loads(self.command("tap-demandbase", "--discover", **settings))
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
        path = self._folder / "catalog.json"
        path.write_text(json.dumps(catalog), encoding="utf-8")
        return self.command("tap-demandbase", f"--catalog={path}", **settings)

    def load(self, stream: str, *rows: Message, code: int = 0, **settings: Any) -> str:  # noqa: ANN401
        """Run the target over rows of a stream."""
        columns = {name: {"type": ["string", "null"]} for name in rows[0]}
        key = next(iter(rows[0]))
        messages = [
            {
                "type": "SCHEMA",
                "stream": stream,
                "schema": {"type": "object", "properties": columns},
                "key_properties": [key],
            },
            *({"type": "RECORD", "stream": stream, "record": row} for row in rows),
        ]
        text = "".join(json.dumps(message) + "\n" for message in messages)
        return self.command("target-demandbase", text=text, code=code, **settings)

    def fail(self, operation: str, effect: Effect = Effect.STATUS, **members: Any) -> None:  # noqa: ANN401 - of a fault
        """Make an operation fail once, as the documents say that it can."""
        self.sandbox.add_fault(Fault(operation, effect, match={"api": self.api}, **members))

    def generate(self, name: str, content: dict[str, Any], prefix: str) -> None:
        """Run schemathesis with a document.

        Raises:
            RuntimeError: It ended with an error, or a response was one of the server's.
        """
        self._begin(f"schemathesis {name}")
        path = self._folder / "document.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - a tool of the project
            [
                str(Path(sys.executable).with_name("schemathesis")), "run", str(path),
                "--url", self.url + prefix,
                "--header", f"Authorization: Bearer {self.sandbox.token}",
                "--max-redirects", "0", "--mode", "all", "--seed", "1",
                "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing",
                "--max-examples", "10", "--suppress-health-check", "all", "--warnings", "off",
                "--no-color",
            ],
            capture_output=True, text=True, check=False, cwd=self._folder, timeout=10 * _TIMEOUT,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"schemathesis failed with {name}:\n{done.stdout[-3000:]}")

    def call(self, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401
        """Send a request of another client."""
        token = {"Authorization": f"Bearer {self.sandbox.token}"}
        return requests.request(
            method, self.url + path, headers=token, timeout=30, allow_redirects=False, **options
        )


def run_all(documents: Documents, record: Callable[[Exchange], None]) -> None:
    """Run everything over the APIs that the documents describe.

    Args:
        documents: The published documents.
        record: Called with each exchange.
    """
    described = {document.api for document in documents.documents}
    runs = {
        "uapi": (run_uapi, run_without_permissions, run_without_calls),
        "v1": (run_v1, run_v1_limits),
    }
    for api in described & runs.keys():
        for run in runs[api]:
            run(record)
    for document in documents.documents:
        run_generated(document, record)


def run_generated(document: ApiDocument, record: Callable[[Exchange], None]) -> None:
    """Send what schemathesis makes of a document: valid requests and others, of all operations.

    Args:
        document: The document.
        record: Called with each exchange.

    Raises:
        RuntimeError: The sandbox failed, or schemathesis did.
    """
    budgets = dict.fromkeys(DAILY_CALLS, 10**6)
    with tenant(document.api, record, call_budgets=budgets) as it:
        served = it.call("GET", DOCUMENT_PATH).json()["paths"]
        known = {f"{method.upper()} {path}" for path in served for method in served[path]}
        content = document.only(known)
        if not content["paths"]:
            return
        it.generate(document.name, content, document.prefix)


@contextmanager
def tenant(api: str, record: Callable[[Exchange], None], **options: Any) -> Iterator[Tenant]:  # noqa: ANN401
    """Give a sandbox whose jobs end at once, with options of the sandbox."""
    current = ["the start"]
    with ExitStack() as stack:
        quick = {"pending_seconds": 0, "processing_seconds": 0}
        sandbox = stack.enter_context(Sandbox(SandboxOptions(**{**quick, **options})))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = sandbox.url if api == "v1" else sandbox.uapi_url
        url = stack.enter_context(recording(api, upstream, record, lambda: current[0]))

        def begin(name: str) -> None:
            current[0] = name

        yield Tenant(api, sandbox, url, folder, begin)


def run_uapi(record: Callable[[Exchange], None]) -> None:
    """Run everything over ``uapi``, and what can go wrong with jobs."""
    with tenant("uapi", record, label_headers=True) as it:
        options = {
            **_REPORTS,
            "people": {"replication_key": "last_contacted_on", "person_list_ids": [1]},
            "account_list_members": {"account_list_ids": [1, 2]},
            "person_list_members": {"person_list_ids": [2]},
        }
        it.command("tap-demandbase", "--discover", stream_options=options)
        it.command("tap-demandbase", "--test")
        it.export(stream_options=options, account_list_id="1", **_DAYS)
        for words in (["check"], ["plan"], ["quota"], ["jobs"], ["catalog"]):
            it.command("demandbase", *words, stream_options=options, **_DAYS)
        for stream, row in _ROWS.items():
            it.load(
                stream, row, field_mappings=_LABELS, activity_types={"activities": "web_visit"},
                list_action="insert" if stream == "accounts" else None,
            )  # fmt: skip
        it.load(
            "people",
            {**_ROWS["people"], "id": "n3", "Nickname": "Countess"},
            field_mappings=_LABELS,
            custom_fields={"people": ["Nickname"]},
            source=_SOURCE,
        )
        it.load("people", _ROWS["people"], field_mappings=_LABELS, source="None", code=1)
        it.export_catalog("reference_persona", "reference_job_level", "export_jobs")
        it.command(
            "demandbase", "check", "--deep", "--allow-job", "activities", "--day", "2026-01-10",
            source=_SOURCE,
        )  # fmt: skip
        it.fail("createImportJob", Effect.JOB_FAILS, message="The file is not valid.")
        it.load("people", {**_ROWS["people"], "id": "n2"}, field_mappings=_LABELS, code=1)
        it.fail("createExportJob", Effect.JOB_FAILS, message="The export failed.")
        it.export("accounts")
        it.fail("createExportJob", code="429-102")
        it.export("accounts")
        it.fail("createExportJob", Effect.JOB_GONE, seconds=0)
        it.export("accounts")
        it.fail("createExportJob", code="400-155")
        it.export("accounts", code=1)
        it.fail("fetchFields", code="500-100")
        it.export("opportunities", discovery_cache_hours=0)
        it.load(
            "activities", _ROWS["activities"], field_mappings=_LABELS,
            activity_types={"activities": 77777}, code=1,
        )  # fmt: skip
        it.command("demandbase", "job", "77777", code=1)
        it.command("tap-demandbase", "--test", client_secret="wrong", code=1)  # noqa: S106
        it.command(
            "demandbase",
            "check",
            client_id=None,
            client_secret=None,
            access_token="wrong",  # noqa: S106
            code=1,
        )
    with tenant("uapi", record, results_urls=True, part_rows=100) as it:
        it.export("accounts")


def run_without_permissions(record: Callable[[Exchange], None]) -> None:
    """Run over tenants of ``uapi`` that permit little."""
    with tenant("uapi", record, export_collection=False, import_permission=False) as it:
        it.export("accounts", code=1)
        it.command("demandbase", "check", code=1)
        it.load("people", _ROWS["people"], field_mappings=_LABELS, code=1)
    with tenant("uapi", record, withheld_entities={"campaign", "creative", "activity"}) as it:
        it.command("tap-demandbase", "--discover", stream_options=_REPORTS)


def run_without_calls(record: Callable[[Exchange], None]) -> None:
    """Run over tenants of ``uapi`` whose limits are reached."""
    spent = {"createExportJob": 1, "createImportJob": 1, "listImportJobs": 3}
    with tenant("uapi", record, call_budgets=spent, trial_export_bytes=10) as it:
        for _ in range(2):
            it.call("POST", "/data/export/v1/job", json={"jobName": "a", "entityType": "account"})
        it.export("accounts", code=75)
        for _ in range(2):
            body = {"dataImportName": "a", "entityType": "Person"}
            it.call("POST", "/import/v1/job", json=body)
        it.load("people", _ROWS["people"], field_mappings=_LABELS, code=75)
    with tenant("uapi", record, uapi_max_upload_bytes=10) as it:
        it.load("people", _ROWS["people"], field_mappings=_LABELS, code=1)


def run_v1(record: Callable[[Exchange], None]) -> None:
    """Run everything over ``v1``, and what can go wrong with jobs."""
    with tenant("v1", record, part_rows=100) as it:
        options = {"people": {"replication_key": "last_contacted_on"}}
        it.command("tap-demandbase", "--discover")
        it.command("tap-demandbase", "--test")
        it.export(stream_options=options, account_list_id="list-1", **_DAYS)
        for words in (["check"], ["plan"], ["quota"], ["jobs"], ["catalog"]):
            it.command("demandbase", *words)
        it.command("demandbase", "check", "--deep", "--allow-job", "activities")
        it.export_catalog("export_jobs", "import_jobs", "import_errors", "field_mappings")
        for stream, row in _V1_ROWS.items():
            it.load(
                stream, row, {**row, next(iter(row)): "other"}, on_reject="continue",
                operation="insert" if stream == "activities" else "upsert",
            )  # fmt: skip
        it.fail("createImportJob", Effect.JOB_FAILS, message="The file is not valid.", rows=1)
        it.load("people", _V1_ROWS["people"], code=1)
        it.fail("createExportJob", Effect.JOB_FAILS, message="The export failed.")
        it.export("accounts")
        it.fail("createExportJob", Effect.JOB_GONE, seconds=0)
        it.export("accounts")
        ended = it.call("POST", "/export/v1/jobs", json={"entity_type": "accounts"}).json()["id"]
        it.call("DELETE", f"/export/v1/jobs/{ended}")
        waiting = {
            "entity_type": "people",
            "operation": "upsert",
            "match_key": "email",
            "field_mappings": [{"csv_column": "email", "demandbase_field": "email"}],
        }
        created = it.call("POST", "/import/v1/jobs", json=waiting).json()["id"]
        it.command("demandbase", "job", created, "--cancel")
        it.command("demandbase", "job", "unknown", code=1)
        it.command("tap-demandbase", "--test", access_token="wrong", code=1)  # noqa: S106
    with tenant("v1", record, direct_download=True, processing_seconds=600) as it:
        created = it.call("POST", "/export/v1/jobs", json={"entity_type": "people"}).json()["id"]
        it.command("demandbase", "job", created, "--cancel")
    with tenant("v1", record, direct_download=True) as it:
        it.export("accounts")


def run_v1_limits(record: Callable[[Exchange], None]) -> None:
    """Run over a tenant of ``v1`` whose limits are reached."""
    with tenant("v1", record, daily_export_bytes=0, max_upload_bytes=10) as it:
        it.export("accounts", code=75)
        it.load("people", _V1_ROWS["people"], code=1)
