"""The tap."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from demandbase_api.connect import connect_export, connect_import
from demandbase_api.retry import RetryPolicy
from tap_demandbase import discovery, settings

if TYPE_CHECKING:
    from singer_sdk import Stream

    from demandbase_api.ports import ExportApi, ImportApi


class TapDemandbase(Tap):
    """Singer tap for Demandbase's bulk export API."""

    name = "tap-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = settings.CONFIG
    dynamic_catalog = True
    retry: ClassVar = RetryPolicy()
    """How reads are repeated."""
    capabilities: ClassVar = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    @cached_property
    def export_api(self) -> ExportApi:
        """The export port."""
        return connect_export(settings.connection(self.config, self.retry))

    @cached_property
    def import_api(self) -> ImportApi:
        """The import port, for the streams about imports."""
        return connect_import(settings.connection(self.config, self.retry))

    @override
    def discover_streams(self) -> list[Stream]:
        return discovery.discover_streams(self)
