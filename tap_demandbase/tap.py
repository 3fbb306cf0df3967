"""The tap: settings, streams and the end of a run."""

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
from demandbase_api.config import api_files, chosen_api, settings_errors
from demandbase_api.connect import connect
from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.process import enlarge_pipe, signals_ignored, terminate
from tap_demandbase import config
from tap_demandbase.catalog import saved_fields
from tap_demandbase.discovery import discover_streams
from tap_demandbase.exporter import Exporter
from tap_demandbase.fast_sync import LineWriter
from tap_demandbase.job_streams import job_streams
from tap_demandbase.streams import BulkStream, IdBatchStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from singer_sdk import Stream

    from demandbase_api.ports import Apis, ExportApi, ImportApi
    from tap_demandbase.discovery import StreamSpec


class TapDemandbase(Tap):
    """Singer tap for Demandbase's bulk export API."""

    name = "tap-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = config.CONFIG
    dynamic_catalog = True
    message_writer_class = LineWriter
    retry: ClassVar = RetryPolicy()
    """Retries of requests that read."""
    clock: Clock = SystemClock()
    """Clock of the jobs."""
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
        """Field names in jobs, by stream and property, from the catalog that was passed."""
        super().__init__(*args, **options)

    @cached_property
    def _apis(self) -> Apis:
        return connect(
            config.connection(self.config, self.retry.on(self.clock)),
            chosen_api(self.config),
            files=api_files(self.config),
            clock=self.clock,
        )

    @property
    def export_api(self) -> ExportApi:
        """The export API."""
        return self._apis.exports

    @property
    def import_api(self) -> ImportApi:
        """The import API, for the streams about imports."""
        return self._apis.imports

    @cached_property
    def exporter(self) -> Exporter:
        """The exports of this run, planned when first used."""
        exporter = Exporter(
            self.export_api,
            config.export_policy(
                self.config, self.retry.on(self.clock), self.export_api.capabilities
            ),
            config.spool(self.config),
            clock=self.clock,
            journal=config.export_journal(self.config),
            logger=self.logger,
        )
        streams = [it for it in self._bulk_streams() if it.selected and not it.is_removed]
        unplanned = [it for it in streams if isinstance(it, IdBatchStream)]
        # Each needs at least one job, and one for the export of its ids.
        more_jobs = len(unplanned) + len({it.ids_export for it in unplanned})
        exporter.plan({it.name: it.planned_tasks for it in streams}, more_jobs)
        # For runs without sync_all(), such as the SDK's dry run.
        weakref.finalize(self, exporter.close)
        return exporter

    def _bulk_streams(self) -> list[BulkStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, BulkStream)]

    @override
    def discover_streams(self) -> list[Stream]:
        others = job_streams(self, self.export_api, self.import_api)
        reserved = {stream.name for stream in others}
        specs = discover_streams(self.export_api, self.config, reserved, self.logger)
        return [*(self._bulk_stream(spec) for spec in specs), *others]

    def _bulk_stream(self, spec: StreamSpec) -> BulkStream:
        kind = BulkStream if spec.entity.parent_ids is None else IdBatchStream
        return kind(self, spec, self.saved_fields.get(spec.entity.name) or {})

    @override  # type: ignore[misc]
    def sync_all(self) -> None:
        # Final in the SDK, which has no hook around a run: jobs must not outlive it.
        try:
            super().sync_all()
            if "exporter" in self.__dict__:
                for stream in self._bulk_streams():
                    stream.complete_run()
                self.state_writer.write_state(self.state)
        finally:
            if "exporter" in self.__dict__:
                with signals_ignored():
                    self.exporter.close()

    @override  # type: ignore[misc]
    def run_connection_test(self) -> bool:
        """Check the credentials, discovery and the list of jobs.

        Raises:
            DemandbaseError: A check failed.
        """
        # Final in the SDK, whose own test creates an export job for every stream.
        streams = len(self.streams)
        next(iter(self.export_api.jobs()), None)
        self.logger.info(
            "The credentials are valid, discovery finds %d streams, and export jobs can be listed. "
            "No export job was created.",
            streams,
        )
        return True

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK sets the defaults, but its messages quote values, such as the token.
        broken = super()._validate_config(raise_errors=False)
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(self.config_jsonschema)
        return settings_errors(broken, validator, self.config, raise_errors=raise_errors)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's own handler exits with 0 and leaves jobs running.
        terminate(signum, self.logger)


class OutputClosedError(DemandbaseError):
    """The reader of the tap's output has closed it."""


class CommandTap(TapDemandbase):
    """Singer tap for Demandbase's bulk export API."""

    @classmethod
    @override
    def invoke(cls, **options: Any) -> None:
        enlarge_pipe(sys.stdout.fileno())
        with _broken_pipe_as_error():
            super().invoke(**options)

    @override
    def run_discovery(self) -> str:
        with _broken_pipe_as_error():
            return super().run_discovery()


@contextmanager
def _broken_pipe_as_error() -> Iterator[None]:
    """Turn a broken pipe into an error: click would end the command without a message.

    Raises:
        OutputClosedError: The pipe behind standard output broke.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosedError("The target stopped reading: see its messages.") from None
