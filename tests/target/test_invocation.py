from __future__ import annotations

import sys

import pytest

from demandbase_sandbox import Sandbox
from target_demandbase.errors import RejectedRowsError
from target_demandbase.invocation import sending_command
from tests.target.conftest import Load, people, person


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/venv/bin/target-demandbase"], "target-demandbase"),
        (
            ["target-demandbase", "--config", "my config.json", "--config=ENV", "--input", "f"],
            "target-demandbase --config=ENV --config 'my config.json'",
        ),
        (["/usr/bin/pytest", "--config", "x"], "target-demandbase"),
    ],
)
def test_the_command_has_the_settings_of_this_run(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert sending_command() == f"cat FILE | {command}"


def test_under_meltano_it_is_meltanos_with_the_name_of_the_loader(
    sandbox: Sandbox, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTANO_LOADER_NAME", "target-crm")
    with pytest.raises(RejectedRowsError) as caught:
        load(people(), person(1, lead_score="secret"))
    assert "“cat FILE | meltano invoke target-crm”" in str(caught.value)
    assert not sandbox.import_jobs()
