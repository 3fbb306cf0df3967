"""The target."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Target
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from demandbase_api.connect import connect_import
from demandbase_api.setting_rules import settings_error
from target_demandbase import settings
from target_demandbase.errors import InputError
from target_demandbase.reader import SilentReader
from target_demandbase.routing import check_entities
from target_demandbase.sink import DemandbaseSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk import Sink

    from demandbase_api.ports import ImportApi


class TargetDemandbase(Target):
    """Singer target for Demandbase's bulk import API."""

    name = "target-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = settings.CONFIG
    default_sink_class = DemandbaseSink
    message_reader_class = SilentReader
    capabilities: ClassVar = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        TargetCapabilities.VALIDATE_RECORDS,
    ]

    @cached_property
    def import_api(self) -> ImportApi:
        """The import port.

        Raises:
            ConfigurationError: The settings name an address, a token or an entity that is none.
        """
        api = connect_import(settings.connection(self.config))
        check_entities(self.config, api.capabilities.entities)
        return api

    @property  # type: ignore[misc]
    @override
    def max_parallelism(self) -> int:
        """One: rows of different streams may refer to each other, and the order is theirs."""
        return 1

    @override
    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        key_properties: Sequence[str] | None = None,
    ) -> Sink:
        sink = super().get_sink(
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        # Where a stream's schema changes, the SDK parks the old sink until the end or the next full
        # drain; by then the new sink may have sent newer rows of the same keys.
        while self._sinks_to_clear:
            old = self._sinks_to_clear.pop(0)
            self.drain_one(old)
            old.clean_up()
        return sink

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK fills in the defaults, but its sentences quote values, the token among them.
        broken = super()._validate_config(raise_errors=False)
        if broken:
            validator = DEFAULT_JSONSCHEMA_VALIDATOR(self.config_jsonschema)
            error = settings_error(validator.iter_errors(dict(self.config)))
            if raise_errors:
                raise error
            return [str(error)]
        return []

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        raise InputError(
            "The input holds a BATCH message, and this target takes RECORD messages only. "
            "Take the setting batch_config out of the tap's configuration."
        )

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        super().append_builtin_config(config_jsonschema)
        for name in settings.UNUSED_SDK_SETTINGS:
            config_jsonschema["properties"].pop(name, None)
