"""Whether server, roles and live database allow a staged restore, asked without changing anything."""

from runner.databases.base import Preflight
from runner.databases.postgresql import preflight_offer
from runner.databases.postgresql.asking import ADMIN, Question, names, refusal, some, warning
from runner.databases.postgresql.blueprint import Existing, may_act_for
from runner.databases.postgresql.swap import MAY_END, name_of
from runner.messages import msg

_CANNOT_END = f"""
SELECT DISTINCT a.usename::text FROM pg_stat_activity a
WHERE a.datid = %s AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND NOT {MAY_END} ORDER BY 1
"""  # noqa: S608 - a constant of ours
_SLOTS = "SELECT slot_name::text FROM pg_replication_slots WHERE database = %s ORDER BY 1"
_SUBSCRIPTIONS = "SELECT subname::text FROM pg_subscription WHERE subdbid = %s ORDER BY 1"
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = %s ORDER BY 1"


def inspect(asked: Question) -> Preflight:
    """All that speaks against it, at once. Raises psycopg.Error."""
    found = Preflight()
    _check_reach(asked, found)
    _check_rights(asked, found)
    if asked.live is not None:
        _check_live(asked, asked.live, found)
    if asked.offer.kept is not None and name_of(asked.connection, asked.offer.kept.oid) != asked.offer.kept.name:
        found.errors.append(
            refusal(
                msg("the database `{name}` is not on the server any more", name=asked.offer.kept.name),
                msg("restore an archive instead: `runner list` shows them"),
            )
        )
    if asked.offer.kind != "kept":
        preflight_offer.check(asked, found)
    return found


def _check_reach(asked: Question, found: Preflight) -> None:
    if asked.config.maintenance == asked.config.name:
        found.errors.append(
            refusal(
                msg("the restored database cannot be the maintenance database too: `{name}`", name=asked.config.name),
                msg("name another one in `database.maintenance`; `postgres` and `template1` exist nearly everywhere"),
            )
        )
    # A pooler gives its clients keys of its own; the number that a direct server tells at the start is its process's.
    pid = int(str(asked.connection.execute("SELECT pg_backend_pid()").fetchall()[0][0]))
    if pid != asked.connection.info.backend_pid:
        found.errors.append(
            refusal(
                msg("there is a connection pooler between runner and the server"),
                msg("give the server's own host and port in the profile: a pooler keeps sessions open"),
            )
        )
    if asked.connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]:
        found.errors.append(
            refusal(msg("the server is a standby, which cannot be written to"), msg("restore on the primary server"))
        )


def _check_rights(asked: Question, found: Preflight) -> None:
    actor = asked.actor
    if not asked.loader.exists:
        found.errors.append(
            refusal(
                msg("there is no role `{role}` on this server, and `database.user` names it", role=asked.loader.role),
                msg(
                    "create it as superuser (`CREATE ROLE … LOGIN PASSWORD …`), as it was on the old server, or "
                    "correct `database.user`"
                ),
            )
        )
        return
    if not (actor.superuser or actor.createdb):
        found.errors.append(refusal(msg("the role `{role}` may not create databases", role=actor.role), ADMIN))
    if asked.live is not None and not (actor.superuser or may_act_for(asked.connection, actor.role, asked.owner)):
        found.errors.append(
            refusal(
                msg("the database belongs to `{owner}`, and `{role}` may not rename it", owner=asked.owner,
                    role=actor.role),
                ADMIN,
            )
        )  # fmt: skip
    elif not (actor.superuser or may_act_for(asked.connection, actor.role, asked.owner)):
        found.errors.append(
            refusal(
                msg("`{role}` may not create a database for `{owner}`", role=actor.role, owner=asked.owner),
                msg("as superuser: grant the role `{owner}` to `{role}`", owner=asked.owner, role=actor.role),
            )
        )
    if not (asked.loader.superuser or may_act_for(asked.connection, asked.loader.role, asked.owner)):
        found.errors.append(
            refusal(
                msg(
                    "the database belongs to `{owner}`, and `{role}` may not create anything in it",
                    owner=asked.owner,
                    role=asked.loader.role,
                ),
                msg("restore as its owner, or grant that role to `{role}`", role=asked.loader.role),
            )
        )


def _check_live(asked: Question, live: Existing, found: Preflight) -> None:
    connection, name = asked.connection, live.name
    if not live.is_open:
        found.errors.append(
            refusal(
                msg("the database `{name}` does not accept connections", name=name),
                msg("if nobody needs it closed: ALTER DATABASE … ALLOW_CONNECTIONS true"),
            )
        )
    if live.blueprint.connection_limit == -2:
        found.errors.append(
            refusal(
                msg("the database `{name}` is the rest of a DROP DATABASE that did not end", name=name),
                msg("drop it for good, then restore into nothing"),
            )
        )
    if prepared := names(connection, _PREPARED, name):
        found.errors.append(
            refusal(
                msg("prepared transactions hold the database: {names}", names=some(prepared)),
                msg("end them by COMMIT PREPARED or ROLLBACK PREPARED"),
            )
        )
    if strangers := names(connection, _CANNOT_END, live.oid):
        found.errors.append(
            refusal(
                msg("`{role}` may not end the sessions of {names}", role=asked.actor.role, names=some(strangers)),
                msg("stop these clients, or grant the role `pg_signal_backend` (it never ends a superuser's sessions)"),
            )
        )
    if slots := names(connection, _SLOTS, name):
        found.warnings.append(
            warning(
                "slots",
                msg("logical replication slots stay with the replaced database and go with it: {names}",
                    names=some(slots)),
                msg("who reads them has to begin anew after the restore"),
            )
        )  # fmt: skip
    if subscriptions := names(connection, _SUBSCRIPTIONS, live.oid):
        found.warnings.append(
            warning(
                "subscriptions",
                msg("subscriptions stay with the replaced database and go with it: {names}",
                    names=some(subscriptions)),
                msg("set them up again after the restore, and drop their slots on the publisher"),
            )
        )  # fmt: skip
    tablespace = live.blueprint.tablespace
    if tablespace is not None and not asked.actor.superuser:
        query = "SELECT has_tablespace_privilege(%s, 'CREATE')"
        if not connection.execute(query, [tablespace]).fetchall()[0][0]:
            found.errors.append(
                refusal(msg("`{role}` may not use the tablespace `{name}`", role=asked.actor.role, name=tablespace),
                         ADMIN)
            )  # fmt: skip
