"""The tap: settings, streams and the end of a run."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from simplejson import JSONDecodeError
from singer_sdk import Tap
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import StateMessage
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import api_files, chosen_api, state
from demandbase_api.connect import connect
from demandbase_api.errors import ConfigurationError, DemandbaseError, SpoolError, state_error
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.process import enlarge_pipe, json_problem, signals_ignored, terminate
from demandbase_api.run_files import remove_old, remove_old_reports, run_name, write_report
from demandbase_api.run_report import RunClock, RunFacts
from demandbase_api.settings_check import (
    environment_settings,
    near_names,
    settings_errors,
    warn_variables,
    without_foreign,
)
from demandbase_api.settings_values import as_declared
from demandbase_api.state.folder import EXPORT_REPORTS
from tap_demandbase import bookmark, config
from tap_demandbase.catalog import (
    catalog_fields,
    checked_streams,
    chosen_methods,
    saved_fields,
    selected_streams,
    usable_catalog,
)
from tap_demandbase.discovery import discover_streams
from tap_demandbase.errors import StreamsFailedError, sdk_sentence
from tap_demandbase.exporter import Exporter
from tap_demandbase.fast_sync import LineWriter, write_output
from tap_demandbase.job_streams import job_streams
from tap_demandbase.reference_streams import reference_streams, selected_references
from tap_demandbase.report import EXPORT_OPERATIONS, log_summary, run_report
from tap_demandbase.streams import BulkStream, IdBatchStream
from tap_demandbase.sync_run import SyncRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import FrameType

    from singer_sdk import Stream

    from demandbase_api.errors import ApiOperation
    from demandbase_api.ports import Apis, CallsToday, ExportApi, ImportApi
    from tap_demandbase.discovery import StreamSpec
    from tap_demandbase.job_streams import ListStream
    from tap_demandbase.report import StreamFigures


_LAST_STATE = "Pass the last STATE message or its value; of several lines, the last."


class TapDemandbase(Tap):
    """Singer tap for Demandbase's bulk export API."""

    name = "tap-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = config.CONFIG
    dynamic_catalog = True
    message_writer_class = LineWriter
    retry: RetryPolicy = RetryPolicy()
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
        self._saved_catalog = options.get("catalog")
        if self._saved_catalog is not None:
            options["catalog"] = usable_catalog(self._saved_catalog)
        self.saved_fields = saved_fields(self._saved_catalog)
        """Field names in jobs, by stream and property, from the catalog that was passed."""
        self.chosen_methods = chosen_methods(self._saved_catalog)
        """Replication method that the user has chosen, by stream."""
        self._unavailable: dict[str, DemandbaseError] = {}
        if (state := options.get("state")) is not None:
            options["state"] = bookmark.usable_state(state)
        super().__init__(*args, **options)

    @cached_property
    def apis(self) -> Apis:
        """Both ports of the API.

        Raises:
            ConfigurationError: The address or the credentials cannot be used.
        """
        return connect(
            config.connection(self.config, self.retry.on(self.clock)),
            chosen_api(self.config),
            files=api_files(self.config),
            clock=self.clock,
        )

    @property
    def export_api(self) -> ExportApi:
        """The export API."""
        return self.apis.exports

    @property
    def import_api(self) -> ImportApi:
        """The import API, for the streams about imports."""
        return self.apis.imports

    @property
    def unavailable(self) -> dict[str, DemandbaseError]:
        """Why selected streams cannot be exported, by name; known after discovery."""
        return self._unavailable

    @cached_property
    def exporter(self) -> Exporter:
        """The exports of this run."""
        return Exporter(
            self.export_api,
            config.export_policy(
                self.config, self.retry.on(self.clock), self.export_api.capabilities
            ),
            config.spool(self.config),
            clock=self.clock,
            journal=config.export_journal(self.config),
            logger=self.logger,
        )

    @override
    def discover_streams(self) -> list[Stream]:
        others: list[ListStream] = [*job_streams(self, self.export_api, self.import_api)]
        catalog = self.input_catalog
        selected = None if catalog is None else selected_streams(catalog)
        reserved = {stream.name for stream in others}
        reserved |= selected_references(self.export_api, selected)
        known = {} if catalog is None else catalog_fields(self._saved_catalog, catalog)
        found = discover_streams(
            self.export_api, self.config, reserved, selected, self.logger, catalog=known
        )
        references, errors = reference_streams(
            self, self.export_api, selected, self.logger, self.clock
        )
        others += references
        self._unavailable = found.errors | errors
        return [*(self._bulk_stream(spec) for spec in found.specs), *others]

    @property
    @override
    def catalog_dict(self) -> dict[str, Any]:
        """The catalog.

        Raises:
            DemandbaseError: A stream cannot be discovered, or there are no entities.
        """
        self._check_discovery()
        return super().catalog_dict

    def _check_discovery(self) -> None:
        """Check that all entities were discovered.

        Raises:
            DemandbaseError: An entity is missing, or there is none.
        """
        bulk = [stream for stream in self.streams.values() if isinstance(stream, BulkStream)]
        if len(self._unavailable) > 1:
            raise StreamsFailedError(self._unavailable, len(self._unavailable))
        for error in self._unavailable.values():
            raise error
        # The API does not list the fields of list members: their streams are always there.
        has_any = any(not stream.is_list for stream in bulk)
        if not has_any and self.config.get("entities") is None:
            raise ConfigurationError(
                "Demandbase lists no entity that can be exported: check the permissions of the "
                "credentials, and the setting api."
            )

    def _warn_unknown_bookmarks(self) -> None:
        """Warn about bookmarks of streams that do not exist."""
        known = {*self.streams, *self._unavailable}
        if self.export_api.capabilities.daily_calls:  # only selected streams were discovered
            known.update(self.input_catalog or ())
        if unknown := [name for name in self.state.get("bookmarks", ()) if name not in known]:
            self.logger.warning(
                "The state has bookmarks of streams that do not exist (any more): %s",
                ", ".join(unknown),
            )

    def _warn_unwatched(self, streams: Sequence[Stream]) -> None:
        """Warn about streams that must not be empty, and that the run does not export."""
        exported = (it for it in streams if isinstance(it, BulkStream) and not it.is_removed)
        known = {*self._unavailable, *(it.name for it in exported)}
        names = self.config.get("fail_on_empty") or ()
        if unwatched := [name + near_names(name, known) for name in names if name not in known]:
            self.logger.warning(
                "The setting fail_on_empty names streams of which this run exports nothing: %s",
                ", ".join(unwatched),
            )

    def _bulk_stream(self, spec: StreamSpec) -> BulkStream:
        kind = BulkStream if spec.entity.parent_ids is None else IdBatchStream
        name = spec.entity.name
        return kind(self, spec, self.saved_fields.get(name) or {}, self.chosen_methods.get(name))

    @override  # type: ignore[misc]
    def sync_all(self) -> None:
        """Sync the selected streams; see ``SyncRun``.

        Raises:
            StreamsFailedError: Some streams failed; all others have been delivered, unless an error
                ended the run.
            DemandbaseError: An error ended the run before a stream failed.
        """
        place = state(self.config)
        if place.is_shared:
            place.open()  # a run does not begin without what other machines have recorded
        times = RunClock(run_name(self.clock.utc()), self.clock)
        run: SyncRun | None = None  # until discovery, which may end it
        failure: BaseException | None = None
        try:
            self._warn_unknown_bookmarks()
            run = SyncRun(self.streams.values(), self._unavailable, self.clock, self.logger)
            self._sync(run)
        except BaseException as error:
            failure = error
            raise
        finally:
            with signals_ignored():
                self._report(times, {} if run is None else run.figures, failure)

    def _sync(self, run: SyncRun) -> None:
        """Sync the streams of a run, and end its jobs."""
        with run.reporting_failures():
            try:
                if self.state:
                    self.state_writer.write_state(self.state)
                run.plan()
                self._warn_unwatched(run.streams)
                self._check_storage(run.streams)
                self._check_budget(run.streams)
                run.sync()
                self._write_last_state()
                # A reader that dies before it has the state gets the same jobs again.
                run.clear_journal()
            finally:
                self._close_exports()

    def _write_last_state(self) -> None:
        """Write the state as the last message of the run, from which the next one continues."""
        self.state_writer.write_state(self.state)
        writer = self.message_writer
        if isinstance(writer, LineWriter) and not writer.last_is_state:
            # It is equal to the last one, which the SDK does not repeat, and records followed that.
            writer.write_message(StateMessage(value=self.state))

    def _report(
        self, times: RunClock, streams: Mapping[str, StreamFigures], failure: BaseException | None
    ) -> None:
        """Log what the run has done, and keep its report; remove old ones."""
        rows = None
        if "exporter" in self.__dict__:
            rows = self.exporter.rows
            for name, jobs in self.exporter.jobs().items():
                if name in streams:
                    streams[name].jobs = jobs
        today: Mapping[ApiOperation, CallsToday] = {}
        with suppress(DemandbaseError):  # what cannot be used has been reported
            if self.apis.daily is not None:
                today = self.apis.daily.today()
        left = {each: today[each].left for each in EXPORT_OPERATIONS if each in today}
        log_summary(streams, left, self.logger)
        facts = RunFacts.of(self, failure, sdk_sentence(failure))
        report = run_report(times, facts, rows, streams, left)
        try:
            place, keep_days = state(self.config), self.config["keep_days"]
            folder, copies = place.open() / EXPORT_REPORTS, place.copies(EXPORT_REPORTS)
            # First: on a full disk, this makes room.
            remove_old(folder, keep_days, self.clock.utc(), self.logger)
            if copies is not None:
                remove_old_reports(copies, keep_days, self.clock.utc(), self.logger)
            path = write_report(folder, report.run, report.as_json(), copies)
        except (OSError, SpoolError) as error:
            reason = state_error(error) if isinstance(error, OSError) else error
            self.logger.warning("The report of this run cannot be kept in state_dir: %s", reason)
        else:
            self.logger.info("Report of the run: %s", path)

    @override  # type: ignore[misc]
    def run_sync_dry_run(
        self, dry_run_record_limit: int | None = 1, streams: Iterable[Stream] | None = None
    ) -> bool:
        # Final in the SDK, whose test suite calls it: its jobs must not outlive it either.
        try:
            return super().run_sync_dry_run(dry_run_record_limit, streams)
        finally:
            self._close_exports()

    def _close_exports(self) -> None:
        if "exporter" in self.__dict__:
            with signals_ignored():
                self.exporter.close()

    def _check_storage(self, streams: Sequence[Stream]) -> None:
        """Check that exported files can be stored, and how their rows are to be sent.

        Raises:
            SpoolError: The folder for intermediate files cannot be used.
            ConfigurationError: No batch file can be stored, or its rows are to have a version.
        """
        if any(isinstance(stream, BulkStream) for stream in streams):
            self.exporter.spool.check()
            config.batch_config(self.config)
            config.check_versions(self.config)

    def _check_budget(self, streams: Sequence[Stream]) -> None:
        """Check the daily call budget for all jobs of the run.

        Raises:
            QuotaStopError: The budget is too small; no job has been created.
        """
        exported = [it for it in streams if isinstance(it, BulkStream) and not it.is_removed]
        unplanned = [it for it in exported if isinstance(it, IdBatchStream)]
        if exported:
            # Each needs at least one job, and one for the export of its ids.
            more_jobs = len(unplanned) + len({it.ids_export for it in unplanned})
            self.exporter.check_budget(exported[0].name, more_jobs)

    @override  # type: ignore[misc]
    def run_connection_test(self) -> bool:
        """Check the credentials, discovery and the list of jobs.

        Raises:
            DemandbaseError: A check failed.
        """
        # Final in the SDK, whose own test creates an export job for every stream.
        self._check_discovery()
        streams = len(self.streams)
        next(iter(self.export_api.jobs()), None)
        self.logger.info(
            "The credentials are valid, discovery finds %d streams, and export jobs can be listed. "
            "No export job was created.",
            streams,
        )
        return True

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        # The SDK expects an object for each stream. One that is none stays in the state until it
        # is corrected, and only its stream fails.
        bookmarks = state.get("bookmarks", {})
        readable = {name: it for name, it in bookmarks.items() if isinstance(it, dict)}
        super().load_state({"bookmarks": readable})
        unreadable = {name: it for name, it in bookmarks.items() if name not in readable}
        if unreadable:
            self.state.setdefault("bookmarks", {}).update(unreadable)

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805
        return environment_settings(
            lambda: super(TapDemandbase, cls)._env_var_config,
            cls.config_jsonschema,
            cls._env_var_prefix,
        )

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK sets the defaults, but its messages quote values, such as the token.
        settings = as_declared(self._config, self.config_jsonschema)
        self._config = without_foreign(settings, self.name, self.logger)
        given = frozenset(self._config)
        broken = super()._validate_config(raise_errors=False)
        warn_variables(self.config_jsonschema, self._env_var_prefix, given, self.logger)
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(self.config_jsonschema)
        return settings_errors(broken, validator, self.config, raise_errors=raise_errors)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's own handler exits with 0 and leaves jobs running.
        terminate(signum, self.logger)


class CommandTap(TapDemandbase):
    """Singer tap for Demandbase's bulk export API."""

    @classmethod
    @override
    def invoke(cls, **options: Any) -> None:
        write_output(b"")  # an output that is closed shows before anything is done
        enlarge_pipe(sys.stdout.fileno())
        if (file := options.get("state")) is not None:
            text = _text(file, "state", _LAST_STATE)
            if not text.strip():  # tail -1 of no state at all
                bookmark.usable_state("")
            if _json(text, "state", _LAST_STATE) is None:  # the SDK would take it for no file
                bookmark.usable_state(None)
            options["state"] = io.StringIO(text)
        if (file := options.get("catalog")) is not None:
            advice = "Discover it again, or give another."
            text = _text(file, "catalog", advice)
            checked_streams(_json(text, "catalog", advice))  # the SDK takes null for no file
            options["catalog"] = io.StringIO(text)
        super().invoke(**options)

    @override
    def run_discovery(self) -> str:
        catalog = self.catalog_json_text
        write_output(f"{catalog}\n".encode())
        return catalog


def _text(file: TextIO, option: str, advice: str) -> str:
    """Return the text of an option's file.

    Raises:
        ConfigurationError: It is in another encoding, such as that of PowerShell 5.
    """
    try:
        return file.read()
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The file given with --{option} is no UTF-8 text. {advice}"
        ) from None


def _json(text: str, option: str, advice: str) -> object:
    """Return what the file of an option has.

    Raises:
        ConfigurationError: It is not JSON.
    """
    try:
        return load_json(text)
    except JSONDecodeError as error:
        raise ConfigurationError(
            f"The file given with --{option} {json_problem(error)}. {advice}"
        ) from None
