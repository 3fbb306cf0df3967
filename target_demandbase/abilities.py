"""Which settings ask for more than the API in use can do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import ListAction
from target_demandbase.activity_kind import ACTIVITIES
from target_demandbase.reject_policy import OnReject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.ports import ImportCapabilities

logger = logging.getLogger("target-demandbase")

OUTCOMES_UNKNOWN = "row outcomes unknown: see the import audit in Demandbase"


def check_abilities(config: Mapping[str, Any], capabilities: ImportCapabilities) -> None:
    """Check the settings against what the API can do.

    Raises:
        ConfigurationError: Some ask for more; the one message names all.
    """
    if problems := _problems(config, capabilities):
        raise ConfigurationError(
            f"With api: {config['api']} the settings ask for what the API cannot do: "
            f"{'; '.join(problems)}. Correct them and run again."
        )


def _problems(config: Mapping[str, Any], capabilities: ImportCapabilities) -> list[str]:
    problems = []
    if config["operation"] not in {each.value for each in capabilities.operations}:
        known = " or ".join(sorted(each.value for each in capabilities.operations))
        problems.append(f"operation can only be {known}")
    if config.get("match_keys") and not capabilities.match_key:
        problems.append("match_keys must be left out, since rows are matched by fixed rules")
    if config["list_action"] != ListAction.NOOP.value and not capabilities.list_actions:
        problems.append(f"list_action can only be {ListAction.NOOP.value}")
    types = config.get("activity_types") or {}
    if types and not capabilities.activity_types:
        problems.append("activity_types must be left out")
    entity_map = config.get("entity_map") or {}
    problems += [
        f"activity_types.{stream} names a stream that does not go to {ACTIVITIES}"
        for stream in types
        if capabilities.activity_types and entity_map.get(stream, stream) != ACTIVITIES
    ]
    most = capabilities.max_file_bytes
    if most is not None and config["max_file_bytes"] > most:
        problems.append(f"max_file_bytes can be {most} at most")
    return problems


def tell_limits(config: Mapping[str, Any], capabilities: ImportCapabilities) -> None:
    """Say what follows from what the API cannot do, and what it does to account lists."""
    if not capabilities.row_errors:
        logger.info("This API accepts imports as a whole; %s", OUTCOMES_UNKNOWN)
        limits = [
            name
            for name in ("max_rejected_rows", "max_rejected_percent")
            if config.get(name) is not None
        ]
        if config["on_reject"] == OnReject.CONTINUE.value or limits:
            logger.warning(
                "%s bear only on rows that this target holds back itself, since this API does "
                "not say which rows Demandbase rejects",
                " and ".join(["on_reject", *limits]),
            )
    if config["list_action"] != ListAction.NOOP.value:
        logger.warning(
            "list_action is %s: imports of accounts change the account lists that go with them",
            config["list_action"],
        )
