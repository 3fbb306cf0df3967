from __future__ import annotations

from typing import Any

import pytest

from demandbase_cli.commands import run
from demandbase_cli.settings import Settings
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.cli.conftest import Demandbase
from tests.command_process import run_command


@pytest.fixture
def set_variables(monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]) -> Any:  # noqa: ANN401
    def put(prefix: str, **others: str) -> None:
        texts = {name: value for name, value in config.items() if isinstance(value, str)}
        for name, value in {**texts, **others}.items():
            monkeypatch.setenv(f"{prefix}{name.upper()}", value)

    return put


@pytest.mark.parametrize("prefix", ["TAP_DEMANDBASE_", "TARGET_DEMANDBASE_"])
@pytest.mark.parametrize("sources", [(), ("ENV",)])
def test_one_plugin_in_the_environment_is_enough(
    demandbase: Demandbase,
    set_variables: Any,  # noqa: ANN401
    prefix: str,
    sources: tuple[str, ...],
) -> None:
    set_variables(prefix)
    assert demandbase("jobs", "--json", sources=sources).json == []


def test_exports_belong_to_the_tap_and_imports_to_the_target(
    set_variables: Any,  # noqa: ANN401
) -> None:
    set_variables("TAP_DEMANDBASE_")
    assert Settings().import_apis is not None
    set_variables("TARGET_DEMANDBASE_", api_url="http://target.example")
    settings = Settings()
    assert settings.export_apis is not settings.import_apis


@pytest.mark.parametrize("api", ["uapi"], indirect=True)
def test_a_plugin_with_half_of_its_credentials_is_not_configured(
    demandbase: Demandbase,
    monkeypatch: pytest.MonkeyPatch,
    set_variables: Any,  # noqa: ANN401
) -> None:
    """Meltano passes what is in .env to both plugins, and what is in meltano.yml to one."""
    set_variables("TARGET_DEMANDBASE_")
    monkeypatch.setenv("TAP_DEMANDBASE_CLIENT_SECRET", "x")
    monkeypatch.setenv("TAP_DEMANDBASE_API_URL", "http://tap.example")
    assert demandbase("jobs", "--json", sources=()).json == []


def test_objects_in_the_environment_are_read_as_meltano_writes_them(
    set_variables: Any,  # noqa: ANN401
) -> None:
    options = '{"people.lookback_days": "7", "people.key_properties": ["email"]}'
    set_variables("TAP_DEMANDBASE_", stream_options=options)
    expected = {"people": {"lookback_days": 7, "key_properties": ["email"]}}
    assert Settings().tap().config["stream_options"] == expected
    set_variables("TARGET_DEMANDBASE_", field_mappings='{"people.e": "email", "people.x": null}')
    mappings = {"people": {"e": "email", "x": None}}
    assert Settings().target().config["field_mappings"] == mappings
    assert Settings().target_config["field_mappings"] == mappings


def test_a_malformed_variable_is_named_without_its_value(
    demandbase: Demandbase,
    set_variables: Any,  # noqa: ANN401
) -> None:
    set_variables("TAP_DEMANDBASE_", poll_interval_seconds="secret")
    done = demandbase("jobs", code=1, sources=())
    assert "TAP_DEMANDBASE_POLL_INTERVAL_SECONDS, is not a whole number" in done.err
    assert "secret" not in done.err


def test_missing_credentials_and_files_end_in_a_sentence(
    demandbase: Demandbase,
    tmp_path: Any,  # noqa: ANN401
) -> None:
    assert (
        "access_token, or client_id and client_secret" in demandbase("jobs", code=1, sources=()).err
    )
    assert "was not found" in demandbase("jobs", code=1, sources=(str(tmp_path / "no"),)).err
    for text, words in (("{", "not valid JSON (line 1)"), ("[]", "give an object")):
        (tmp_path / "odd.json").write_text(text)
        assert words in demandbase("jobs", code=1, sources=(str(tmp_path / "odd.json"),)).err


def test_a_failure_has_the_exit_code_of_the_plugins(
    demandbase: Demandbase, sandbox: Sandbox, api: str
) -> None:
    operation = {"v1": "listExportJobs", "uapi": "fetchExportJobsInfo"}[api]
    sandbox.add_fault(Fault(operation, Effect.STATUS, status=429, times=None))
    assert "when asked to list the export jobs" in demandbase("jobs", code=75).err
    sandbox.clear_faults()
    sandbox.add_fault(Fault(operation, Effect.STATUS, status=403, times=None))
    assert "HTTP 403" in demandbase("jobs", code=1).err


def test_an_unknown_command_is_refused(demandbase: Demandbase) -> None:
    said = demandbase("chek", code=2, sources=()).err
    assert said == "No such command 'chek'. Did you mean 'check'? See “demandbase --help”.\n"


def test_without_a_command_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    shown = capsys.readouterr().err
    assert "Before a run:     check, plan, quota" in shown
    assert "Check what a run needs, without creating a job." in shown


def test_the_command_itself() -> None:
    done = run_command("demandbase", "jobs")
    assert done.returncode == 1
    assert done.stderr.startswith("The configuration cannot be used")
    assert done.stdout == ""


def test_a_warning_about_settings_is_given_once(
    demandbase: Demandbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET_DEMANDBASE_MATCH_KEY", "x")
    found = demandbase("rejects").err.splitlines()
    assert len(found) == len(set(found)) == 1
    assert "TARGET_DEMANDBASE_MATCH_KEY" in found[0]
