"""The target."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Target
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from typing_extensions import override

from demandbase_api.connect import connect_import
from target_demandbase import settings
from target_demandbase.errors import InputError
from target_demandbase.reader import SilentReader
from target_demandbase.sink import DemandbaseSink

if TYPE_CHECKING:
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
        """The import port."""
        return connect_import(settings.connection(self.config))

    @property  # type: ignore[misc]
    @override
    def max_parallelism(self) -> int:
        """One: rows of different streams may refer to each other, and the order is theirs."""
        return 1

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
