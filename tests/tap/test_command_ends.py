"""However the tap's command ends, its last line says why, and no line shows a value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import CommandProcess, run_command

pytestmark = pytest.mark.thorough

TAP = str(Path(sys.executable).with_name("tap-demandbase"))


def config_file(folder: Path, sandbox: Sandbox, **settings: object) -> str:
    config = folder / "config.json"
    config.write_text(
        json.dumps({"api_url": sandbox.url, "access_token": sandbox.token, **settings})
    )
    return str(config)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command("tap-demandbase", *arguments, **environment)


@pytest.mark.parametrize("mode", [["--discover"], []], ids=["discover", "sync"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_token": 12345678901}, "the setting access_token must be of the type string"),
        ({"access_token": ["Secret"]}, "the setting access_token must be of the type string"),
        ({"access_token": {"a": "Secret"}}, "the setting access_token must be of the type string"),
        ({"access_token": "Secret\nSecret"}, "The setting access_token contains a space"),
        ({"api_url": "http://u:Secret@h:99999"}, "The setting api_url cannot be used"),
        ({"api_url": "Secret"}, "the setting api_url must begin with https"),
        ({"stream_options": {"accounts": "Secret"}}, "stream_options.accounts must be of the"),
        ({"job_timeout_seconds": 10**30}, "job_timeout_seconds must be at most 604800"),
        ({"job_reuse_hours": 10**400}, "job_reuse_hours must be at most 8760"),
        ({"lookback_days": 1e30}, "lookback_days must be at most 36500"),
        ({"poll_interval_seconds": 1e30}, "poll_interval_seconds must be at most 604800"),
        ({"spool_dir": "Secret\0"}, "The setting spool_dir is no path"),
        ({"spool_dir": "Secret\ud800"}, "The setting spool_dir is no path"),
        ({"request_timeout_seconds": 1e30}, "request_timeout_seconds must be at most 604800"),
        (
            {"stream_maps": {"accounts": {"name": "Secret(("}}},
            "the setting stream_maps.accounts.name is not a valid expression",
        ),
        ({"discovery_cache_hours": 1e30}, "discovery_cache_hours must be at most 8760"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    sandbox: Sandbox, tmp_path: Path, settings: dict[str, object], said: str, mode: list[str]
) -> None:
    done = run("--config", config_file(tmp_path, sandbox, **settings), *mode)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    for hidden in ("Secret", "12345678901", "Traceback"):
        assert hidden not in done.stderr + done.stdout


def test_a_stream_map_that_fails_is_no_bug(sandbox: Sandbox, tmp_path: Path) -> None:
    maps = {"campaigns": {"odd": "secret_function(name)"}}
    settings = config_file(
        tmp_path, sandbox, entities=["campaigns"], stream_maps=maps, state_dir=str(tmp_path)
    )
    done = run("--config", settings)
    assert done.returncode == 1
    assert "An expression in the setting stream_maps fails" in done.stderr.splitlines()[-1]
    assert "secret_function" not in done.stderr
    [report] = tmp_path.glob("*/report-*.json")
    assert json.loads(report.read_text())["error"] in done.stderr.splitlines()[-1]


def test_what_nobody_foresaw_ends_in_one_sentence_without_its_text(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    maps = {"campaigns": {"odd": "int('Secret')"}}
    settings = config_file(tmp_path, sandbox, entities=["campaigns"], stream_maps=maps)
    done = run("--config", settings)
    assert done.returncode == 1
    assert "Unexpected " in done.stderr.splitlines()[-1]
    assert "Secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--about", "--version"])
def test_a_text_that_cannot_be_printed_ends_in_one_sentence(option: str, tmp_path: Path) -> None:
    err = tmp_path / "err"
    process = CommandProcess("tap-demandbase", option, out=Path("/dev/full"), err=err)
    process.stdin.close()
    assert process.wait(30) == 1
    assert "Cannot write to standard output: No space left" in err.read_text().splitlines()[-1]


@pytest.mark.parametrize("discover", [True, False], ids=["discover", "sync"])
def test_a_target_that_stops_reading_is_the_last_line(
    sandbox: Sandbox, tmp_path: Path, *, discover: bool
) -> None:
    arguments = [TAP, "--config", config_file(tmp_path, sandbox)]
    if discover:
        arguments.append("--discover")
    else:
        found = run("--config", config_file(tmp_path, sandbox), "--discover")
        catalog = tmp_path / "catalog.json"
        catalog.write_text(found.stdout)
        arguments += ["--catalog", str(catalog)]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = subprocess.run(
            arguments, stdout=broken, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "The target stopped reading: see its messages." in done.stderr.splitlines()[-1]
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", ["discover", "sync"])
@pytest.mark.parametrize(
    ("output", "said"),
    [(">&-", "Standard output is closed"), (">/dev/full", "Cannot write to standard output: No s")],
    ids=["closed", "full"],
)
def test_an_output_that_cannot_be_written_is_named_once(
    sandbox: Sandbox, tmp_path: Path, output: str, said: str, mode: str
) -> None:
    settings = config_file(tmp_path, sandbox, entities=["campaigns"])
    discover = "--discover" if mode == "discover" else ""
    command = f"{TAP} --config {settings} {discover} {output}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert done.stderr.count(said) == 1
    for bad in ("Traceback", "Exception ignored", "Unexpected", "unhandled"):
        assert bad not in done.stderr


@pytest.mark.parametrize("mode", [["--discover"], []], ids=["discover", "sync"])
@pytest.mark.parametrize("err", [Path("/dev/full"), None], ids=["full", "closed"])
def test_standard_error_changes_nothing_of_the_outcome(
    sandbox: Sandbox, tmp_path: Path, err: Path | None, mode: list[str]
) -> None:
    settings = config_file(tmp_path, sandbox, entities=["campaigns"], spool_dir=str(tmp_path))
    out = tmp_path / "out"
    process = CommandProcess("tap-demandbase", "--config", settings, *mode, out=out, err=err)
    process.stdin.close()
    assert process.wait(30) == 0
    assert out.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"spool_dir": "<file>"}, "Cannot write to the folder for intermediate files"),
        ({"batch_config": {"storage": {"root": "s3://bucket/x"}}}, "install singer-sdk[s3]"),
        ({"batch_config": {"storage": {"root": "<file>"}}}, "at batch_config.storage.root"),
        ({"batch_config": {"storage": {"root": "<folder>", "prefix": "\0"}}}, "prefix is no path"),
    ],
    ids=["spool", "package", "root", "prefix"],
)
def test_what_files_need_is_checked_before_the_first_job(
    sandbox: Sandbox, tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    (tmp_path / "file").touch()
    own = json.loads(json.dumps(settings).replace("<", f"{tmp_path}/").replace(">", ""))
    done = run("--config", config_file(tmp_path, sandbox, entities=["campaigns"], **own))
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert not sandbox.requests("createExportJob")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("\n", "The state cannot be used: it is empty."),
        ("null", "it must be an object"),
        ("[]", "it must be an object"),
        ('{"value": {"bookmarks": {}}}', "may be in its member value"),
        ('{"type": "STATE", "value": null}', "it must be an object"),
        ('{"singer_state": {"bookmarks": {}}}', "may be in its member singer_state"),
        ('{"completed": {"singer_state": {}}}', "may be in its member completed"),
        ('{"bookmarks": null}', "its member bookmarks must be an object"),
        ('{"bookmarks": "Secret"}', "its member bookmarks must be an object"),
        ("{}\n{}", "The file given with --state is not valid JSON (line 2). Pass the last STATE"),
    ],
)
def test_what_is_no_state_ends_the_run_before_any_call(
    sandbox: Sandbox, tmp_path: Path, state: str, said: str
) -> None:
    path = tmp_path / "state.json"
    path.write_text(state)
    done = run("--config", config_file(tmp_path, sandbox), "--state", str(path))
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert "Secret" not in done.stderr
    assert not sandbox.requests()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file given with --catalog is empty. "),  # as a failed discovery leaves it
        (b"{", "The file given with --catalog is not valid JSON (line 1). "),
        ('{"streams": []}'.encode("utf-16"), "The file given with --catalog is no UTF-8 text. "),
        (b"null", "The catalog cannot be used: it must be an object. "),
        (b'"catalog.json"', "The catalog cannot be used: it must be an object. "),
    ],
)
def test_what_is_no_catalog_ends_the_run_before_any_call(
    sandbox: Sandbox, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "catalog.json"
    path.write_bytes(content)
    done = run("--config", config_file(tmp_path, sandbox), "--catalog", str(path))
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert not sandbox.requests()


def test_the_last_line_of_the_output_is_a_state(sandbox: Sandbox, tmp_path: Path) -> None:
    options = {"accounts": {"replication_key": "updated_at"}}
    settings = config_file(tmp_path, sandbox, entities=["accounts"], stream_options=options)
    state = tmp_path / "state.json"
    state.write_text(run("--config", settings).stdout.splitlines()[-1])
    value = json.loads(state.read_text())["value"]["bookmarks"]["accounts"]
    done = run("--config", settings, "--state", str(state))
    assert done.returncode == 0, done.stderr
    assert f"bookmark value: {value['replication_key_value']}" in done.stderr


def test_a_stream_that_fails_is_in_the_last_line_and_called_unhandled_nowhere(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    match = {"entity_type": "campaigns"}
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, match=match, status=403, times=None))
    entities = ["accounts", "campaigns", "opportunities"]
    done = run("--config", config_file(tmp_path, sandbox, entities=entities))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "1 of 3 streams failed, the others were delivered. Stream campaigns: " in last
    assert "HTTP 403" in last
    for bad in ("unhandled", "Traceback", "Exception ignored"):
        assert bad not in done.stderr
    assert '"stream":"opportunities"' in done.stdout


def test_exports_are_closed_once_where_the_run_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    # At the exit of Python 3.12, no thread can be started any more.
    script = """
from tap_demandbase.cli import main
from tap_demandbase.exporter import Exporter
close = Exporter.close
Exporter.close = lambda self: (print("closed"), close(self))
main()
"""
    settings = ["--config", config_file(tmp_path, sandbox, entities=["campaigns"])]
    command = [sys.executable, "-c", script, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines().count("closed") == 1
