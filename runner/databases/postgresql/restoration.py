"""A PostgreSQL database on its way back: loaded beside the live one, then exchanged with it by name.

Two roles: the one that changes databases as a whole (the profile's, or `restore.admin`), and the one that loads, which
is always the profile's own, so that what it makes belongs to the application and a dump never runs with more rights.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from psycopg import sql

from runner.databases.base import (
    DumpFolder,
    DumpScript,
    DumpSource,
    Keep,
    KeptDatabase,
    LiveDatabase,
    Note,
    Offer,
    Preflight,
)
from runner.databases.postgresql import in_place_rules as rules
from runner.databases.postgresql import preflight, swap
from runner.databases.postgresql.asking import Question
from runner.databases.postgresql.blueprint import (
    Blueprint,
    apply_properties,
    creation,
    from_record,
    read_database,
)
from runner.databases.postgresql.compare import differences
from runner.databases.postgresql.connection import describe, restore_errors
from runner.databases.postgresql.maintenance import (
    Connection,
    Maintenance,
    connect_unlimited,
    read_rights,
    read_server,
    stoppable,
)
from runner.databases.postgresql.stage import Loader, Loading, staged_config
from runner.errors import Finding, Refused, StepFailed
from runner.lanes import Stop
from runner.messages import msg
from runner.model.manifest import DatabaseRecord, PostgresqlRecord
from runner.model.marks import PostgresqlMarks, RunNames, Side
from runner.model.profile import DatabaseConfig, PostgresqlConfig

if TYPE_CHECKING:
    from runner.databases.base import Restoration

_NEW_PATIENCE_SECONDS = 1.0
_RECOVERY_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Actors:
    """Who does what. `acting` connects to the maintenance database; `loader` is the role of the profile."""

    acting: PostgresqlConfig
    loader: str


class SwapRestoration:
    """See `runner.databases.base.Restoration`. Nothing live is touched before `swap`, which is one transaction."""

    def __init__(
        self,
        config: PostgresqlConfig,
        actors: Actors,
        names: RunNames,
        marks: PostgresqlMarks | None,
        workspace: Path,
        jobs: int = 1,
    ) -> None:
        """`marks` None: a new restore. `workspace` is a private folder for lists of what is loaded."""
        self._config = config
        self._actors = actors
        self._workspace = workspace
        self._marks = marks or PostgresqlMarks(
            way="swap", name=config.name, staged_name=names.staged_database, replaced_name=names.replaced_database
        )
        patience = _NEW_PATIENCE_SECONDS if marks is None else _RECOVERY_PATIENCE_SECONDS
        self._maintenance = Maintenance(actors.acting, self._marks.name, patience)
        self._skip: frozenset[str] = frozenset()
        self._jobs = jobs
        self._stop = Stop()

    @property
    def label(self) -> str:
        return describe(self._config)

    @property
    def has_door(self) -> bool:
        return True

    @property
    def marks(self) -> PostgresqlMarks:
        return self._marks

    def __enter__(self) -> "SwapRestoration":
        self._maintenance.open(self._marks.server)
        return self

    def __exit__(self, *_: object) -> None:
        self._maintenance.close()

    def look(self, tables: Collection[str] = ()) -> LiveDatabase:
        """The rows are the server's estimate. When something was last changed is not known to PostgreSQL."""
        with self._session() as session:
            live = read_database(session, self._config.name)
            sessions = rules.sessions(session, self._config.name)
        if live is None:
            return LiveDatabase(exists=False)
        if not live.is_open:
            return LiveDatabase(exists=True, sessions=sessions)
        with connect_unlimited(self._config) as inside, restore_errors(self._config):
            return rules.look(inside, sessions, tables)

    def preflight(self, offer: Offer) -> Preflight:
        """Tells `stage` and `compare` what the offer leaves out."""
        self._skip = offer.skip_damaged
        record = offer.record if isinstance(offer.record, PostgresqlRecord) else None
        with self._session() as session:
            live = read_database(session, self._config.name)
            owner = self._blueprint(session, record).owner
            actor, loader = read_rights(session), read_rights(session, self._actors.loader)
            asked = Question(session, self._config, actor, loader, live, owner, offer)
            return preflight.inspect(asked)

    def stage(self, source: DumpSource, record: DatabaseRecord | None, note: Note) -> None:
        """Load into a database of this run's; a kept database is taken as it is.

        Raises ToolFailed, StepFailed, Refused, ServerUnavailable, IntegrityError, Stopped; the staged database is left
        to `discard` then. What was loaded is on the disk once a later transaction was committed as usual: the swap.
        """
        recorded = record if isinstance(record, PostgresqlRecord) else None
        match source:
            case KeptDatabase():
                self._adopt(source, note)
            case DumpFolder() | DumpScript():
                loader = self._loader(source, recorded)
                blueprint = self._create(recorded, note)
                loader.load()
                self._furnish(blueprint)
            case _:
                raise Refused(
                    msg("a SQLite file cannot be restored into PostgreSQL"),
                    where=self.label,
                    hint=msg("restore it with a profile whose `database.engine` is `sqlite`"),
                )

    def stop(self) -> None:
        """See `runner.databases.base.Restoration`."""
        self._stop.set()

    def findings(self) -> tuple[Finding, ...]:
        """Nothing: what comes back otherwise than it was, the preflight has said."""
        return ()

    def compare(self, record: DatabaseRecord) -> tuple[Finding, ...]:
        if not isinstance(record, PostgresqlRecord):
            return (Finding("database.engine", msg("the archive's database is not PostgreSQL"), self.label),)
        staged = staged_config(self._config, self._marks.staged_name)
        with stoppable(staged, self._stop) as connection:
            return differences(connection, record, self._skip)

    def swap(self, note: Note, keep: Keep | None) -> None:  # noqa: ARG002 - `replaced` is kept afterwards
        """In one transaction; both databases stay closed. Nothing is left to do where an earlier call has committed.

        Raises StepFailed when somebody inside does not go or a database is another one by now, ServerUnavailable:
        then `side` tells whether it was committed.
        """
        marks = self._marks
        with self._session() as session:
            side = swap.side_of(session, marks)
            if side is Side.NEW:
                return
            if side is Side.UNCLEAR or marks.staged_oid is None:
                raise self._unclear()
            note(marks)
            moves = [swap.Move(marks.staged_oid, marks.staged_name, marks.name)]
            if marks.live_oid is not None:
                moves.insert(0, swap.Move(marks.live_oid, marks.name, marks.replaced_name))
            swap.exchange(session, moves, self._last_properties(session))

    def swap_back(self, note: Note) -> None:
        """In one transaction; both databases stay closed until `open` or `discard`."""
        marks = self._marks
        with self._session() as session:
            side = swap.side_of(session, marks)
            if side is Side.OLD:
                return
            if side is Side.UNCLEAR or marks.staged_oid is None:
                raise self._unclear()
            moves = [swap.Move(marks.staged_oid, marks.name, marks.staged_name)]
            if marks.live_oid is not None:
                old = swap.name_of(session, marks.live_oid)
                if old is None:
                    raise StepFailed(
                        msg("the replaced database is not there any more, so nothing can go back"),
                        where=self.label,
                        hint=msg("go on with `runner recover`, or restore a safety copy with `runner undo`"),
                    )
                moves.append(swap.Move(marks.live_oid, old, marks.name))
            note(marks)
            swap.exchange(session, moves)

    def open(self) -> None:
        """Whichever of the two bears the live name. Raises StepFailed when it is neither."""
        with self._session() as session:
            if swap.side_of(session, self._marks) is Side.UNCLEAR:
                raise self._unclear()
            self._open_live(session)

    def side(self) -> Side:
        with self._session() as session:
            return swap.side_of(session, self._marks)

    def replaced(self) -> DatabaseConfig | None:
        with self._session() as session:
            name = swap.name_of(session, self._marks.live_oid)
            if name is None or name == self._marks.name:
                return None
            # Under this name no application looks for it. A limit on its sessions must not stop the copy.
            swap.set_open(session, name, is_open=True)
        return staged_config(self._config, name)

    def let_go(self, note: Note) -> None:  # noqa: ARG002 - it is dropped by its oid, which is noted
        """Drop the old database. Raises StepFailed when the new one is not the live one.

        Without a staged one (an earlier restore left the old one on the server), it must still have that name.
        """
        marks = self._marks
        with self._session() as session:
            is_kept = marks.staged_oid is None and swap.name_of(session, marks.live_oid) in (None, marks.replaced_name)
            if not is_kept and swap.side_of(session, marks) is not Side.NEW:
                raise self._unclear()
            if marks.live_oid is not None:
                swap.drop(session, self._actors.acting, marks.live_oid)

    def discard(self, note: Note) -> None:  # noqa: ARG002 - what is dropped bears this run's name or a noted oid
        """Let the application into the live database, drop the staged one. May be called again.

        Raises StepFailed when the staged database is the live one.
        """
        marks = self._marks
        with self._session() as session:
            side = swap.side_of(session, marks)
            if side is Side.NEW:
                raise StepFailed(
                    msg("the restored database is the live one, so it is not dropped"),
                    where=self.label,
                    hint=msg("run `runner recover`, or take the restore back with `runner undo`"),
                )
            if side is Side.OLD:
                self._open_live(session)
            staged_oid = marks.staged_oid
            if staged_oid is None:  # the crash was between CREATE DATABASE and its note: the name is this run's own
                staged_oid = swap.oid_of(session, marks.staged_name)
            if marks.adopted:
                name = swap.name_of(session, staged_oid)
                if name is not None:
                    swap.set_open(session, name, is_open=False)
            elif staged_oid is not None:
                swap.drop(session, self._actors.acting, staged_oid)

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        with self._maintenance.session() as session:
            yield session

    def _open_live(self, session: Connection) -> None:
        """Nothing happens where there is none, or where it is open."""
        if swap.oid_of(session, self._marks.name) is not None and not swap.is_open(session, self._marks.name):
            swap.set_open(session, self._marks.name, is_open=True)

    def _unclear(self) -> StepFailed:
        return StepFailed(
            msg("the database `{name}` is not the one that this restore left there", name=self._marks.name),
            where=self.label,
            hint=msg(
                "look at the databases `{name}`, `{staged}` and `{replaced}` on the server before anything else",
                name=self._marks.name,
                staged=self._marks.staged_name,
                replaced=self._marks.replaced_name,
            ),
        )

    def _blueprint(self, session: Connection, record: PostgresqlRecord | None) -> Blueprint:
        """Of the live database where there is one, otherwise of the backup's."""
        live = read_database(session, self._config.name)
        return from_record(session, record, self._actors.loader) if live is None else live.blueprint

    def _loader(self, source: DumpFolder | DumpScript, record: PostgresqlRecord | None) -> Loader:
        staged = staged_config(self._config, self._marks.staged_name)
        with self._session() as session:
            actor, rights = read_rights(session), read_rights(session, self._actors.loader)
            server = session.info.server_version // 10_000
        admin = staged_config(self._actors.acting, staged.name) if actor.superuser else None
        loading = Loading(staged, rights, admin, record, self._skip, self._workspace, self._jobs, self._stop)
        return Loader(loading, source, server)

    def _create(self, record: PostgresqlRecord | None, note: Note) -> Blueprint:
        with self._session() as session:
            blueprint = self._blueprint(session, record)
            self._marks = msgspec.structs.replace(
                self._marks, live_oid=swap.oid_of(session, self._config.name), server=read_server(session)
            )
            note(self._marks)
            session.execute(creation(self._marks.staged_name, blueprint, session.info.server_version // 10_000))
            staged_oid = swap.oid_of(session, self._marks.staged_name)
        self._marks = msgspec.structs.replace(self._marks, staged_oid=staged_oid)
        note(self._marks)
        return blueprint

    def _furnish(self, blueprint: Blueprint) -> None:
        """What came from the live database is the server's own; what a manifest says gets no more than its loader."""
        name = self._marks.staged_name
        if self._marks.live_oid is not None:
            with self._session() as session:
                apply_properties(session, name, blueprint)
            return
        staged = staged_config(self._config, name)
        with connect_unlimited(staged) as connection, restore_errors(staged):
            apply_properties(connection, name, blueprint)
            limit = sql.SQL("ALTER DATABASE {} WITH CONNECTION LIMIT {}")
            connection.execute(limit.format(sql.Identifier(name), sql.Literal(blueprint.connection_limit)))

    def _adopt(self, kept: KeptDatabase, note: Note) -> None:
        with self._session() as session:
            if swap.name_of(session, kept.oid) != kept.name:
                raise StepFailed(
                    msg("the database `{name}` is not on the server any more", name=kept.name),
                    where=self.label,
                    hint=msg("look for it on the server, or restore an archive instead"),
                )
            self._marks = msgspec.structs.replace(
                self._marks,
                staged_name=kept.name,
                staged_oid=kept.oid,
                live_oid=swap.oid_of(session, self._config.name),
                adopted=True,
                server=read_server(session),
            )
            note(self._marks)
            swap.set_open(session, kept.name, is_open=True)

    def _last_properties(self, session: Connection) -> list[sql.Composed]:
        """What would have been in the way before: the limit of sessions, and being a template."""
        live = read_database(session, self._marks.name)
        if live is None or self._marks.adopted:
            return []
        statement = sql.SQL("ALTER DATABASE {} WITH CONNECTION LIMIT {} IS_TEMPLATE {}")
        limit, template = sql.Literal(live.blueprint.connection_limit), sql.Literal(live.is_template)
        return [statement.format(sql.Identifier(self._marks.staged_name), limit, template)]


if TYPE_CHECKING:

    def _keeps_the_contract(restoration: SwapRestoration) -> "Restoration":
        return restoration
