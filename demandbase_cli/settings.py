"""The settings of both plugins, from the same files and variables as the plugins' own commands."""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from singer_sdk.helpers._util import read_json_file
from typing_extensions import override

from demandbase_api.errors import ConfigurationError
from demandbase_api.http.retry import FOR_A_PERSON
from demandbase_api.settings_values import with_parted_names
from tap_demandbase.tap import TapDemandbase
from target_demandbase.target import TargetDemandbase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from singer_sdk.plugin_base import PluginBase

    from demandbase_api.ports import Apis

P = TypeVar("P")

ENVIRONMENT = "ENV"
"""In place of a file: the settings are in environment variables."""

_TAP_PREFIX = "TAP_DEMANDBASE_"
TARGET_PREFIX = "TARGET_DEMANDBASE_"


def _without_credentials(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule for name, rule in schema.items() if name != "anyOf"}


class _Tap(TapDemandbase):
    retry = FOR_A_PERSON

    @override
    def _setup_signal_handlers(self) -> None:
        """Leave signals to the command: no run is to be cleaned up."""


class _Target(TargetDemandbase):
    retry: ClassVar = FOR_A_PERSON

    @override
    def _setup_signal_handlers(self) -> None:
        """Leave signals to the command: no run is to be cleaned up."""


class _LocalTap(_Tap):
    config_jsonschema: ClassVar = _without_credentials(_Tap.config_jsonschema)


class _LocalTarget(_Target):
    config_jsonschema: ClassVar = _without_credentials(_Target.config_jsonschema)


class Settings:
    """The settings of the tap and of the target, each read when it is needed.

    Exports belong to the tap and imports to the target. If the environment configures only one of
    them, its connection serves both.

    Args:
        sources: Paths of files, and ``ENV`` for the environment; the environment if there are none.
        environment: Environment variables.
    """

    def __init__(
        self, sources: Sequence[str] = (), environment: Mapping[str, str] = os.environ
    ) -> None:
        self.sources = tuple(sources) or (ENVIRONMENT,)
        """For ``--config`` of a plugin's own command."""
        self._files = [source for source in sources if source != ENVIRONMENT]
        self._reads_environment = ENVIRONMENT in sources or not sources
        self._environment = environment

    def tap(self, catalog: dict[str, Any] | None = None, state: object = None) -> TapDemandbase:
        """Return the tap with its settings; with a catalog or a state, as a run has it.

        Raises:
            DemandbaseError: The settings or the state cannot be used.
        """
        return self._plugin(
            lambda config: _Tap(config=config, setup_mapper=False, catalog=catalog, state=state),
            _Tap,
        )

    def target(self) -> TargetDemandbase:
        """Return the target with its settings.

        Raises:
            ConfigurationError: The settings cannot be used.
        """
        return self._plugin(
            lambda config: _Target(config=config, setup_mapper=False),
            _Target,
        )

    @cached_property
    def tap_config(self) -> Mapping[str, Any]:
        """Settings of the tap, for what needs no connection: there may be no credentials."""
        return self._plugin(
            lambda config: _LocalTap(config=config, setup_mapper=False),
            _Tap,
        ).config

    @cached_property
    def target_config(self) -> Mapping[str, Any]:
        """Settings of the target, for what needs no connection: there may be no credentials."""
        return self._plugin(
            lambda config: _LocalTarget(config=config, setup_mapper=False),
            _Target,
        ).config

    @property
    def target_objects(self) -> dict[str, str]:
        """The target's variables of objects, whose members may be joined by dots, without that.

        Meltano joins them for the commands of a plugin, and not for the plugin itself.
        """
        found = _Target._env_var_config  # noqa: SLF001 - the SDK has no other way
        return {
            f"{TARGET_PREFIX}{name.upper()}": json.dumps(value)
            for name, value in with_parted_names(found, _Target.config_jsonschema).items()
            if isinstance(value, dict)
        }

    @cached_property
    def export_apis(self) -> Apis:
        """The APIs by which the tap exports; those of the target if only that is configured."""
        return self.target().apis if self.has_target and not self.has_tap else self.tap().apis

    @cached_property
    def import_apis(self) -> Apis:
        """The APIs by which the target imports; those of the tap if the target is not there."""
        return self.target().apis if self.has_target else self.export_apis

    @property
    def has_tap(self) -> bool:
        """Whether there are credentials of the tap; files are for both plugins."""
        return self._has(_Tap.config_jsonschema, _TAP_PREFIX)

    @property
    def has_target(self) -> bool:
        """Whether there are credentials of the target; files are for both plugins."""
        return self._has(_Target.config_jsonschema, TARGET_PREFIX)

    def _has(self, schema: Mapping[str, Any], prefix: str) -> bool:
        # Other settings are no sign: Meltano passes all of .env to each plugin.
        names = {*self._from_files()}
        if self._reads_environment:
            found = schema["properties"]
            names |= {name for name in found if f"{prefix}{name.upper()}" in self._environment}
        return any(names.issuperset(group["required"]) for group in schema["anyOf"])

    def _plugin(self, make: Callable[[dict[str, Any]], P], plugin: type[PluginBase]) -> P:
        config = self._from_files()
        if self._reads_environment:
            found = plugin._env_var_config  # noqa: SLF001 - the SDK has no other way
            config |= with_parted_names(found, plugin.config_jsonschema)
        return make(config)

    def _from_files(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        for path in self._files:
            try:
                members = read_json_file(path)
            except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is no text"
                raise ConfigurationError(f"The file {path} cannot be read: {why}.") from error
            if not isinstance(members, dict):
                raise ConfigurationError(f"The file {path} is no configuration: give an object.")
            config.update(members)
        return config
