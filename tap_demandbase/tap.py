"""The tap."""

from __future__ import annotations

import sys
import weakref
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import api_files, chosen_api, settings_error
from demandbase_api.connect import connect
from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.process import signals_ignored, terminate, widen
from tap_demandbase import config, discovery
from tap_demandbase.catalog import saved_fields
from tap_demandbase.exporter import Exporter
from tap_demandbase.fast_sync import LineWriter
from tap_demandbase.streams import BulkStream, IdBatchStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from singer_sdk import Stream

    from demandbase_api.ports import Apis, ExportApi, ImportApi


def check_connection(tap: TapDemandbase) -> bool:
    """Check credentials, discovery and the job list.

    Raises:
        DemandbaseError: One of them fails.
    """
    streams = len(tap.streams)
    next(iter(tap.export_api.jobs()), None)
    tap.logger.info(
        "The credentials are good, discovery finds %d streams, and export jobs can be listed. "
        "No export job was created.",
        streams,
    )
    return True


class TapDemandbase(Tap):
    """Singer tap for Demandbase's bulk export API."""

    name = "tap-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = config.CONFIG
    dynamic_catalog = True
    message_writer_class = LineWriter
    retry: ClassVar = RetryPolicy()
    """How reads are repeated."""
    clock: Clock = SystemClock()
    """Time, as jobs are waited for."""
    capabilities: ClassVar = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        self.saved_fields = saved_fields(options.get("catalog"))
        """What jobs call the fields of the catalog that was passed, by stream and property."""
        super().__init__(*args, **options)

    @cached_property
    def _apis(self) -> Apis:
        return connect(
            config.connection(self.config, self.retry),
            chosen_api(self.config),
            files=api_files(self.config),
            clock=self.clock,
        )

    @property
    def export_api(self) -> ExportApi:
        """The export port."""
        return self._apis.exports

    @property
    def import_api(self) -> ImportApi:
        """The import port, for the streams about imports."""
        return self._apis.imports

    @cached_property
    def exports(self) -> Exporter:
        """The exports of this run; nothing has been asked for yet."""
        run = Exporter(self)
        bulk = [
            stream for stream in self._bulk_streams() if stream.selected and not stream.is_removed
        ]
        planned = [
            (it.name, [order for _, order in it.orders] if it.is_planned else []) for it in bulk
        ]
        later = [it for it in bulk if isinstance(it, IdBatchStream)]
        # Each needs a job at least, and one that tells what it is about.
        run.plan(planned, len(later) + len({it.source_of_ids for it in later}))
        # For who runs streams without sync_all, as the SDK's dry run does.
        weakref.finalize(self, run.close)
        return run

    def _bulk_streams(self) -> list[BulkStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, BulkStream)]

    @override
    def discover_streams(self) -> list[Stream]:
        return discovery.discover_streams(self)

    @override  # type: ignore[misc]
    def sync_all(self) -> None:
        # Final in the SDK, which offers no hook around a run: jobs must not outlive it.
        try:
            super().sync_all()
            if "exports" in self.__dict__:
                for stream in self._bulk_streams():
                    stream.run_done()
                self.state_writer.write_state(self.state)
        finally:
            if "exports" in self.__dict__:
                with signals_ignored():
                    self.exports.close()

    @override  # type: ignore[misc]
    def run_connection_test(self) -> bool:
        # Final in the SDK, whose own buys an export of every stream.
        return check_connection(self)

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
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's own ends with 0 and leaves jobs running.
        terminate(signum, self.logger)


class OutputClosedError(DemandbaseError):
    """Whoever read the tap's output reads no more."""


class CommandTap(TapDemandbase):
    """Singer tap for Demandbase's bulk export API."""

    @classmethod
    @override
    def invoke(cls, **options: Any) -> None:
        widen(sys.stdout.fileno())
        with _reader_needed():
            super().invoke(**options)

    @override
    def run_discovery(self) -> str:
        with _reader_needed():
            return super().run_discovery()


@contextmanager
def _reader_needed() -> Iterator[None]:
    """Turn a broken pipe into an error: click would end the command without a word.

    Raises:
        OutputClosedError: The pipe behind standard output broke.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosedError("The target stopped reading: see its own messages.") from None
