"""`runner apply`: one backup.

lock → clean up → before_apply → check → snapshot → survey → (dump | references → media) → seal → verify → put →
remember → after_apply, which also comes after a failure; on_error comes last of all
"""

import contextlib
import platform
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

from runner import __version__
from runner.archive.restore_text import restore_text
from runner.archive.writer import ArchiveWriter
from runner.databases.base import Capture, StillWanted
from runner.destinations.base import Destination, numbered
from runner.durable import create_private
from runner.errors import (
    DestinationFailed,
    Finding,
    HookFailed,
    Interrupted,
    RunnerError,
    SeveralFailed,
    SourceMissing,
    WorkspaceFailed,
    raise_all,
)
from runner.events import Began, Logged, Noticed, Reporter, StageAdvanced, StageEnded, StageStarted
from runner.lanes import Lanes, Stop
from runner.messages import msg, printable
from runner.model.manifest import (
    FORMAT_VERSION,
    RESTORE_NAME,
    DatabaseRecord,
    Manifest,
    MediaRecord,
    ReferencesRecord,
    WarningRecord,
)
from runner.model.plan import Action, Plan
from runner.model.profile import Compression, MediaConfig
from runner.model.report import BackupReport
from runner.state import ProfileState, Workspace
from runner.workflow.delivery import Delivery
from runner.workflow.hooks import HookContext, failures_told, run_hooks
from runner.workflow.into import Into
from runner.workflow.media import MediaCopy, Survey, check_sources, survey
from runner.workflow.pending import settle
from runner.workflow.places import open_capture, open_destination
from runner.workflow.politeness import dump_connections, lanes_of, make_way
from runner.workflow.references import ReferenceCheck, unchecked
from runner.workflow.room import check_room, least_bytes
from runner.workflow.shield import Shield
from runner.workflow.together import Work, one_at_a_time, together


def apply(plan: Plan, reporter: Reporter) -> BackupReport:
    """Carry a plan out, between its hooks.

    Raises RunnerError; then no archive has a final name and nothing is left behind. Where a hook failed after the
    archive was made, the error says that it is there.
    """
    started = time.monotonic()
    state = ProfileState.of(plan.profile)
    run_id = f"{plan.timestamp}-{secrets.token_hex(4)}"
    context = HookContext(plan.profile, plan.variant, run_id)

    def back_up() -> BackupReport:
        with state.workspace(run_id) as workspace:
            run = _Backup(plan, state, workspace, run_id, reporter)
            try:
                return run.run(started)
            except OSError as error:
                raise _workspace_failed(plan, error) from None

    make_way(plan.profile, reporter)
    with failures_told(context, reporter), state.locked():
        reporter(Began("apply", run_id))
        settle(plan.profile, state, reporter)
        for path in state.clean_leftovers():
            reporter(Logged(msg("removed what an interrupted run left behind: {path}", path=path)))
        return _between_hooks(back_up, context, reporter)


def _between_hooks(back_up: Callable[[], BackupReport], context: HookContext, reporter: Reporter) -> BackupReport:
    """Whatever `before_apply` began to stop, `after_apply` starts again: after an error and an interruption too."""
    hooks = context.profile.hooks
    report: BackupReport | None = None
    try:
        # The shield stands between the two, so that no signal finds a moment in which `after_apply` is left out.
        with Shield() as shield:
            try:
                with shield.lifted():
                    run_hooks(hooks.before_apply, "before_apply", context, reporter)
                    report = back_up()
            except BaseException as error:
                if hooks.before_apply or report is not None:
                    _after_failure(error, replace(context, archive=_place_of(report), error=error), reporter)
                raise
            run_hooks(hooks.after_apply, "after_apply", replace(context, archive=_place_of(report)), reporter)
    except RunnerError as error:
        if report is None:
            raise
        raise _archive_stays(error, _place_of(report)) from None
    return report


def _after_failure(error: BaseException, context: HookContext, reporter: Reporter) -> None:
    """Returns, or raises the error together with what went wrong here."""
    try:
        run_hooks(context.profile.hooks.after_apply, "after_apply", context, reporter)
    except RunnerError as late:
        if isinstance(error, RunnerError):
            raise SeveralFailed((error, late)) from None
        for finding in late.findings:
            reporter(Noticed(finding))


def _place_of(report: BackupReport | None) -> str:
    return "" if report is None else str(report.placed[0].path)


def _archive_stays(error: RunnerError, place: str) -> RunnerError:
    """What went wrong after the archive was made, told so that nobody believes it lost."""
    if isinstance(error, SeveralFailed):
        return SeveralFailed([_archive_stays(each, place) for each in error.errors])
    if isinstance(error, Interrupted):
        return Interrupted(msg("interrupted when the archive was made already; it stays"), where=place)
    return HookFailed(msg("the archive is made and stays; {reason}", reason=str(error)), where=place, hint=error.hint)


class _Backup:
    """One run. Each method is a step or a few; `run` is the recipe."""

    def __init__(self, plan: Plan, state: ProfileState, workspace: Workspace, run_id: str, reporter: Reporter) -> None:
        self._plan = plan
        self._profile = plan.profile
        self._state = state
        self._workspace = workspace
        self._run_id = run_id
        self._reporter = one_at_a_time(reporter)
        self._warnings: list[Finding] = []

    def run(self, started: float) -> BackupReport:
        self._warn(*self._profile.warnings)
        destinations = self._check()
        sealed, manifest, name = self._build(destinations)
        delivery = Delivery(self._plan, self._state, self._workspace, self._reporter)
        placed, failed = delivery.put(sealed, name, destinations, manifest)
        self._warn(*failed)
        return BackupReport(
            profile=self._profile.name,
            archive_name=Path(placed[0].path).name,
            manifest=manifest,
            placed=placed,
            duration_seconds=time.monotonic() - started,
            warnings=tuple(self._warnings),
        )

    def _check(self) -> list[Destination]:
        """Everything that can be known to fail now does, all of it at once. One destination in reach is enough."""
        errors: list[RunnerError] = []
        if self._media is not None:
            errors += check_sources(self._media)
        usable: list[Destination] = []
        failed: list[RunnerError] = []
        for destination in map(open_destination, self._profile.destinations):
            try:
                destination.check()
                usable.append(destination)
            except DestinationFailed as error:
                failed.append(error)
        raise_all([*errors, *(() if usable else failed)])
        for unusable in failed:
            self._warn(*unusable.findings)
        return usable

    def _build(self, destinations: list[Destination]) -> tuple[Path, Manifest, str]:
        """Snapshot, survey, both halves, seal: the archive under a temporary name, and its own name."""
        name = numbered(self._plan.archive_name, frozenset().union(*(place.names() for place in destinations)))
        path = self._workspace.folder / "archive.zip"
        compression = self._profile.archive.compression
        with contextlib.ExitStack() as open_until_sealed:
            capture = self._open_capture(open_until_sealed)
            found = None if self._media is None else survey(self._media, compression)
            raise_all(check_room(self._profile, least_bytes(found, self._plan.variant, self._state.last_backup())))
            lanes = open_until_sealed.enter_context(Lanes(lanes_of(self._profile)))
            file = open_until_sealed.enter_context(create_private(path))
            writer = ArchiveWriter(file, self._workspace.folder, self._plan.created_at, compression, lanes)
            open_until_sealed.enter_context(writer)
            database, media, references = self._both(Into(writer, lanes, compression), capture, found)
            manifest = self._seal(writer, database, media, references, name)
        return path, manifest, name

    def _open_capture(self, stack: contextlib.ExitStack) -> Capture | None:
        config = self._profile.database
        if config is None or not self._plan.variant.has_database:
            return None
        with self._stage(Action.SNAPSHOT):
            return stack.enter_context(open_capture(config, self._workspace.folder, self._plan.timestamp))

    def _check_references(self, capture: Capture | None, still_right: Callable[[], object]) -> ReferenceCheck | None:
        if capture is None or self._media is None or not self._media.references:
            return None
        check = ReferenceCheck(capture, self._media)
        with self._stage(Action.REFERENCES):
            check.run(still_right)
        return check

    def _check_empty_root(self, found: Survey | None, check: ReferenceCheck | None) -> None:
        """An empty root is most often a disk that is not mounted."""
        if found is None or found.files or self._media is None:
            return
        last = self._state.last_backup()
        before = 0 if last is None else last.media_files or 0
        if before or (check is not None and check.names_files):
            named = 0 if check is None else check.checked
            raise SourceMissing(
                msg(
                    "the media root holds no file; the last backup held {before}, and the database names {named}",
                    before=before,
                    named=named,
                ),
                where=str(self._media.root),
                hint=msg("check that its disk is mounted; if it is empty on purpose, make a `db-only` backup"),
            )
        self._warn(Finding("media.empty", msg("the media root holds no file"), str(self._media.root)))

    def _both(
        self, into: Into, capture: Capture | None, found: Survey | None
    ) -> tuple[DatabaseRecord | None, MediaRecord | None, ReferencesRecord | None]:
        """The dump, and the media after their references: at the same time where more than one lane may work.

        Otherwise the references come first, so that a missing file costs no dump.
        """
        dumps: list[DatabaseRecord] = []
        copies: list[MediaRecord] = []
        checks: list[ReferenceCheck | None] = []
        stop_dump, stop_media = Stop(), Stop()

        def dump() -> None:
            if capture is None:
                return
            try:
                dumps.append(self._dump(capture, into, stop_dump.check))
            except RunnerError:
                stop_dump.check()  # what merely follows from the other half's failure is not told
                raise

        def look() -> None:
            checks.append(check := self._check_references(capture, stop_media.check))
            self._check_empty_root(found, check)

        def copy() -> None:
            if found is not None:
                copies.append(self._copy_media(into, checks[0], found, stop_media.check))

        def look_and_copy() -> None:
            look()
            stop_media.check()
            copy()

        if capture is not None and found is not None and into.lanes.count > 1:
            together(Work(look_and_copy, stop_media.set), Work(dump, stop_dump.set))
        else:
            look()
            dump()
            copy()
        database, media, check = next(iter(dumps), None), next(iter(copies), None), checks[0]
        if media is not None:
            into.writer.end_media()
        if capture is not None and database is not None:
            self._warn(*capture.findings(), *self._shrunk(database))
        columns = () if self._profile.media is None else self._profile.media.references
        return database, media, unchecked(columns) if check is None else check.record()

    def _dump(self, capture: Capture, into: Into, still_wanted: StillWanted) -> DatabaseRecord:
        last = self._state.last_backup()
        with self._stage(Action.DUMP, None if last is None else last.dump_bytes):
            gzip = into.compression is not Compression.STORE
            for part in capture.parts(gzip=gzip, jobs=dump_connections(into.lanes.count), still_wanted=still_wanted):
                into.add_part(part, lambda amount: self._reporter(StageAdvanced(Action.DUMP, amount)))
            return capture.record()

    def _shrunk(self, record: DatabaseRecord) -> Iterator[Finding]:
        last = self._state.last_backup()
        before = 0 if last is None else last.tables or 0
        if record.tables and len(record.tables) * 2 < before:
            yield Finding(
                "database.shrunk",
                msg("{now} tables; the last backup held {before}", now=len(record.tables), before=before),
                hint=msg("check that this is the application's database and that its migrations ran"),
            )

    def _copy_media(
        self,
        into: Into,
        check: ReferenceCheck | None,
        found: Survey,
        still_right: Callable[[], object],
    ) -> MediaRecord:
        assert self._media is not None  # noqa: S101 - the caller has looked
        with self._stage(Action.MEDIA, found.bytes):
            copy = MediaCopy(
                self._media,
                into.writer,
                check,
                into.lanes,
                lambda amount: self._reporter(StageAdvanced(Action.MEDIA, amount)),
                still_right,
            )
            record = copy.run()
        self._warn(*copy.warnings, *(() if check is None else check.warnings))
        return record

    def _seal(
        self,
        writer: ArchiveWriter,
        database: DatabaseRecord | None,
        media: MediaRecord | None,
        references: ReferencesRecord | None,
        name: str,
    ) -> Manifest:
        plan, profile = self._plan, self._profile
        with self._stage(Action.SEAL):
            draft = Manifest(
                format_version=FORMAT_VERSION,
                archive_id=self._run_id,
                profile=profile.name,
                instance=profile.instance,
                host=platform.node(),
                variant=plan.variant.value,
                created_at=plan.created_at.astimezone(UTC).isoformat(timespec="seconds"),
                created_at_local=plan.created_at.isoformat(timespec="seconds"),
                runner_version=__version__,
                members=(),
                database=database,
                media=media,
                references=references,
                warnings=tuple(
                    WarningRecord(
                        code=finding.code,
                        message=printable(str(finding.message)),
                        where=None if finding.where is None else printable(finding.where),
                    )
                    for finding in self._warnings
                ),
            )
            text = restore_text(draft, name).encode("utf-8", "backslashreplace")
            writer.add_member(RESTORE_NAME, [text], len(text), deflate=True)
            return writer.seal(draft)

    @property
    def _media(self) -> MediaConfig | None:
        """The media half, when this variant has one."""
        return self._profile.media if self._plan.variant.has_media else None

    def _warn(self, *findings: Finding) -> None:
        for finding in findings:
            self._warnings.append(finding)
            self._reporter(Noticed(finding))

    @contextlib.contextmanager
    def _stage(self, action: Action, total: int | None = None, title: str = "") -> Iterator[None]:
        step = next((step for step in self._plan.steps if step.action is action), None)
        shown = msg("{title}", title=title) if title or step is None else step.title
        self._reporter(StageStarted(action, shown, total))
        yield
        self._reporter(StageEnded(action))


def _workspace_failed(plan: Plan, error: OSError) -> WorkspaceFailed:
    return WorkspaceFailed(
        msg("the archive cannot be written: {reason}", reason=error.strerror or str(error)),
        where=str(plan.profile.state),
        hint=msg("free some space there, or set `state` in backup.yml to a folder on a larger disk"),
    )
