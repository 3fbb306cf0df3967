"""Names in settings of streams and entities that a run does not send: they may be mistyped."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from target_demandbase.config import warn_of_unused
from target_demandbase.errors import RoutingError
from tests.target.conftest import Load, people, person

UNUSED = "Settings about streams or entities that this run did not send: "


def found(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [
        (record.levelno, record.getMessage().removeprefix(UNUSED))
        for record in caplog.records
        if record.getMessage().startswith(UNUSED)
    ]


def test_a_mistyped_stream_is_named_once_at_the_end_with_the_nearest_name(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "target-demandbase")  # whatever ran before in this process
    load(people(), person(1), person(2), entity_map={"peple": "accounts"})
    warnings = [each for each in found(caplog) if each[0] == logging.WARNING]
    assert warnings == [(logging.WARNING, "entity_map.peple (near: people)")]


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({}, None, None),
        ({"entity_map": {"crm": "accounts"}, "match_keys": {"accounts": "domain"}}, None, None),
        ({"entity_map": {"crm": "accounts", "deals": "people"}}, 20, "entity_map.deals"),
        ({"entity_map": {"crm": "accounts", "crn": "people"}}, 20, "entity_map.crn"),
        ({"activity_types": {"cmr": "Webinar"}}, 30, "activity_types.cmr (near: crm)"),
        (
            {"match_keys": {"people": "email"}, "field_mappings": {"people": {}, "accounts": {}}},
            20,
            "match_keys.people, field_mappings.people",
        ),
    ],
)
def test_what_had_no_effect_is_a_warning_only_if_it_is_near_to_something(
    caplog: pytest.LogCaptureFixture, settings: dict[str, Any], level: int | None, words: str
) -> None:
    caplog.set_level(logging.INFO)
    warn_of_unused(settings, {"crm": "accounts"})
    assert found(caplog) == ([] if level is None else [(level, words)])


def test_a_run_without_a_stream_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    warn_of_unused({"entity_map": {"crm": "accounts"}}, {})
    assert not found(caplog)


def test_a_stream_without_an_entity_names_the_setting_that_is_near(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    head = {**people(), "stream": "crm_people"}
    with pytest.raises(RoutingError, match=r"entity_map does not name it \(near: crm_peple\)"):
        load(head, entity_map={"crm_peple": "people"})
    assert not found(caplog)
