"""What a profile that follows a Django project's settings means today: the settings, in the words of a profile."""

from pathlib import Path

from runner.applications.django import PROBE, DjangoDatabase, DjangoProject, read_project
from runner.config import Told, escaped
from runner.config.document import Value
from runner.errors import Finding, Refused
from runner.messages import msg
from runner.model.profile import DjangoApp


def follow(app: DjangoApp) -> Told:
    """Ask the settings. Raises ApplicationFailed, ToolMissing, and Refused for what cannot be backed up."""
    return followed(app, read_project(app.manage, app.settings, app.python))


def followed(app: DjangoApp, project: DjangoProject) -> Told:
    """What settings that were asked mean for a profile. Raises Refused for what cannot be backed up."""
    database = _chosen(app, project)
    values: dict[str, Value] = {"database": _database(app, project, database)}
    if app.media and (media := _media(project)) is not None:
        values["media"] = media
    return Told(values, tuple(_warnings(app, project)))


def _chosen(app: DjangoApp, project: DjangoProject) -> DjangoDatabase:
    known = {database.alias: database for database in project.databases if database.engine}
    names = ", ".join(f"`{name}`" for name in known)
    if app.database is not None:
        if app.database in known:
            return known[app.database]
        message = msg("`DATABASES` has no entry `{name}`", name=app.database)
        raise Refused(message, where=str(app.manage), hint=msg("its entries are {names}", names=names))
    if len(known) == 1:
        return next(iter(known.values()))
    if not known:
        message, hint = msg("`DATABASES` names no database"), msg("write `media` instead of `app` for files alone")
        raise Refused(message, where=str(app.manage), hint=hint)
    message = msg("`DATABASES` has {count} entries, and a profile is for one: {names}", count=len(known), names=names)
    hint = msg("choose it with `app.django.database`; write a second profile, with `media: false`, for another")
    raise Refused(message, where=str(app.manage), hint=hint)


def _database(app: DjangoApp, project: DjangoProject, database: DjangoDatabase) -> dict[str, Value]:
    match database.kind:
        case "sqlite":
            return {"engine": "sqlite", "path": escaped(_sqlite_file(app, database))}
        case "postgresql":
            return _postgresql(app, project, database)
    raise _refused(
        app,
        database,
        msg("its engine is `{engine}`, and runner backs up PostgreSQL and SQLite", engine=database.engine),
    )


def _sqlite_file(app: DjangoApp, database: DjangoDatabase) -> str:
    name = database.name or ""
    if not name or name == ":memory:" or name.startswith("file:"):
        raise _refused(app, database, msg("it is no file of SQLite"))
    return str(app.manage.parent / name)


def _postgresql(app: DjangoApp, project: DjangoProject, database: DjangoDatabase) -> dict[str, Value]:
    options = dict(database.options)
    for option in ("service", "passfile"):
        if option in options:
            raise _refused(app, database, msg("its option `{option}` cannot be followed", option=option))
    if database.name is None:
        raise _refused(app, database, msg("it has no `NAME`"))
    said: dict[str, Value] = {"engine": "postgresql", "name": escaped(database.name)}
    if database.host is not None:
        said["host"] = escaped(database.host)
    if database.port is not None:
        said["port"] = database.port
    if database.user is not None:
        said["user"] = escaped(database.user)
    if "sslmode" in options:
        said["sslmode"] = options["sslmode"]
    if "sslrootcert" in options:
        said["sslrootcert"] = escaped(str(app.manage.parent / options["sslrootcert"]))
    if database.has_password:
        asked = [str(PROBE), str(app.manage), project.settings, database.alias]
        said["password"] = {"command": [str(project.python), "-X", "utf8", *asked]}
    return said


def _media(project: DjangoProject) -> dict[str, Value] | None:
    """None: the project has no folder of uploads."""
    if not project.keeps_files_here:
        message = msg("its uploads go to `{storage}`, and not into a folder", storage=project.storage)
        hint = msg("with `app.django.media: false` the database is backed up alone")
        raise Refused(message, where=str(project.manage), hint=hint)
    if project.media_root is None:
        return None
    root = project.media_root
    media: dict[str, Value] = {"root": escaped(str(root))}
    if project.media_url is not None:
        media["url"] = project.media_url
    columns = [column for column in project.file_columns if column.folder and _is_same(Path(column.folder), root)]
    if columns:
        media["references"] = [{"table": column.table, "column": column.column} for column in columns]
    return media


def _warnings(app: DjangoApp, project: DjangoProject) -> list[Finding]:
    if not (app.references and app.media):
        return []
    where = str(project.manage)
    if project.models_error is not None:
        message = msg("which columns name files is not known: {reason}", reason=project.models_error)
        hint = msg("mend the project, or list them under `media.references`; `[]` for none")
        return [Finding("application.models", message, where, hint)]
    root = project.media_root
    elsewhere = [
        f"{column.table}.{column.column}"
        for column in project.file_columns
        if root is None or column.folder is None or not _is_same(Path(column.folder), root)
    ]
    if not elsewhere:
        return []
    message = msg("files of {columns} lie outside `MEDIA_ROOT` and are not saved", columns=", ".join(elsewhere))
    hint = msg("write a profile of their own for them; with `media.references` here nothing more is said")
    return [Finding("application.files-elsewhere", message, where, hint)]


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _refused(app: DjangoApp, database: DjangoDatabase, reason: object) -> Refused:
    message = msg("the database `{alias}` of the settings: {reason}", alias=database.alias, reason=reason)
    hint = msg("write `database` instead of `app`, and what it needs")
    return Refused(message, where=str(app.manage), hint=hint)
