"""What is said of a stream at its SCHEMA: each line once a run, a warning only if settings help."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tests.target.conftest import OPPORTUNITY_LABELS, Load, deal, deals, people, schema

TEXT = {"type": ["string", "null"]}
FACTS = (
    "Demandbase matches accounts by External Account ID, else by Account Domain and Account Name "
    "together; an account that it does not have is neither added nor changed.\n"
    "Demandbase finds the account of people by External Account Id, Account Domain or Account "
    "Name: no column of stream people fills one, so new records have no account.\n"
    "Imported people serve advertising audiences only, unless a CRM or marketing automation "
    "system is connected to Demandbase.\n"
    "Demandbase finds the account of opportunities by External Account ID, Account Domain or "
    "Account Name: stream opportunities has External Account ID, Account Name, Account Domain.\n"
    "Demandbase finds the person of an activity, and so its account, by External Person Id."
).splitlines()


def messages(sandbox: Sandbox) -> list[dict[str, Any]]:
    accounts = dict.fromkeys(("Account Name", "Account Domain"), TEXT)
    visits = dict.fromkeys(("person", "at"), TEXT)
    names = dict.fromkeys(("person_id", "email", "first_name", "last_name"), TEXT)
    return [
        schema(accounts, key="Account Domain"),
        schema({**accounts, "Industry": TEXT}, key="Account Domain"),
        people(names), people({**names, "title": TEXT}), people(names),
        deals(), deal(sandbox, 1),
        schema(visits, "activities", "person"),
    ]  # fmt: skip


@pytest.mark.parametrize("api", ["uapi"])
def test_each_stream_is_told_once_how_its_rows_find_their_account(
    sandbox: Sandbox, load: Load, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mappings = {
        "people": config["field_mappings"]["people"],
        "opportunities": OPPORTUNITY_LABELS,
        "activities": {"person": "External Person Id", "at": "Activity Date"},
    }
    types = {"activities": "web_visit"}
    load(*messages(sandbox), field_mappings=mappings, activity_types=types)
    found = [(it.levelno, it.message) for it in caplog.records if it.message in FACTS]
    assert found == [(logging.INFO, fact) for fact in FACTS]
    # What a setting cannot change is no warning: it would return each night.
    columns = "field_mappings.people names columns that stream people does not have: "
    warnings = [it.message for it in caplog.records if it.levelno >= logging.WARNING]
    assert all(text.startswith(columns) for text in warnings)
    assert len(set(warnings)) == len(warnings)


@pytest.mark.parametrize("api", ["v1"])
def test_nothing_is_said_of_an_api_that_lists_fields_and_outcomes(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    load(people(), deals(), deal(sandbox, 1), unknown_fields="drop")
    assert not [it.message for it in caplog.records if it.message.startswith("Demandbase finds")]
