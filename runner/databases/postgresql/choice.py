"""Picks the way in which a PostgreSQL database comes back, and who does what on it."""

from pathlib import Path
from typing import TYPE_CHECKING

from runner.databases.postgresql.blueprint import may_act_for, read_database
from runner.databases.postgresql.connection import restore_errors
from runner.databases.postgresql.in_place import InPlaceRestoration
from runner.databases.postgresql.maintenance import acting_as, connect_unlimited, read_rights
from runner.databases.postgresql.restoration import Actors, SwapRestoration
from runner.errors import ConfigurationInvalid, ServerUnavailable
from runner.model.marks import PostgresqlMarks, RunNames
from runner.model.profile import AdminConfig, PostgresqlConfig

if TYPE_CHECKING:
    from runner.databases.base import Restoration


def open_restoration(
    config: PostgresqlConfig,
    admin: AdminConfig | None,
    names: RunNames,
    marks: PostgresqlMarks | None,
    workspace: Path,
    jobs: int = 1,
) -> "Restoration":
    """Pick the way: a staged database where one may be made, otherwise in place. `marks`: go on in another process.

    `workspace` is a private folder of the run's, `jobs` how many sessions may load at once. Holds nothing until it
    is entered. Raises ServerUnavailable, ConfigurationInvalid.
    """
    if marks is not None and marks.way == "in-place":
        return InPlaceRestoration(config, names, marks, workspace)
    actors, may_stage = _choose(config, admin)
    if marks is None and not may_stage:
        return InPlaceRestoration(config, names, marks, workspace)
    return SwapRestoration(config, actors, names, marks, workspace, jobs)


def _choose(config: PostgresqlConfig, admin: AdminConfig | None) -> tuple[Actors, bool]:
    """The profile's role where it can do it, else the administrator; and whether a staged database is the way."""
    there = acting_as(config, None)
    by_admin = None if admin is None else acting_as(config, admin)
    try:
        session = connect_unlimited(there)
    except (ServerUnavailable, ConfigurationInvalid):
        if by_admin is None or config.user is None:
            raise
        return Actors(by_admin, config.user), True
    with session, restore_errors(there):
        rights = read_rights(session)
        live = read_database(session, config.name)
        able = rights.superuser or rights.createdb
        owns = live is None or rights.superuser or may_act_for(session, rights.role, live.blueprint.owner)
    if by_admin is not None and not (able and owns):
        return Actors(by_admin, rights.role), True
    return Actors(there, rights.role), able or live is None
