"""RESTORE.txt: how to restore this very archive by hand, with standard tools only, when runner is not at hand."""

import shlex
from collections.abc import Iterator

from runner.model.manifest import MEDIA_PREFIX, Manifest, PostgresqlRecord, SqliteRecord

_INDENT = "    "


def restore_text(manifest: Manifest, archive_name: str) -> str:
    """The whole text. Lines that are indented by four spaces are commands for a POSIX shell, to be run in order."""
    return "\n".join(_lines(manifest, archive_name)) + "\n"


def commands_of(text: str) -> list[str]:
    """The commands that a text of `restore_text` holds, in order."""
    return [line.removeprefix(_INDENT) for line in text.splitlines() if line.startswith(_INDENT)]


def _lines(manifest: Manifest, archive_name: str) -> Iterator[str]:
    yield "RESTORE BY HAND"
    yield "==============="
    yield f"Archive:  {archive_name}"
    yield f"Of:       profile {manifest.profile}, instance {manifest.instance}, host {manifest.host}"
    yield f"Made:     {manifest.created_at_local} by runner {manifest.runner_version}, variant {manifest.variant}"
    yield ""
    yield "With runner, `runner verify FILE` checks every byte. Without it, follow the steps below."
    yield "Stop the application first. Try it in an empty folder and on a spare server before you replace anything."
    yield "Indented lines are commands. On Windows, unpack with the Explorer and run the others in PowerShell."
    yield ""
    yield "1. Unpack, and test the archive on the way"
    yield ""
    yield f"{_INDENT}unzip -q {shlex.quote(archive_name)} -d restored"
    yield f"{_INDENT}cd restored"
    yield ""
    number = 2
    match manifest.database:
        case PostgresqlRecord() as record:
            yield from _postgresql(record, number)
            number += 1
        case SqliteRecord() as record:
            yield from _sqlite(record, number)
            number += 1
        case None:
            pass
    if manifest.media is not None:
        yield from _media(manifest.media.root, number)


def _postgresql(record: PostgresqlRecord, number: int) -> Iterator[str]:
    major = record.client_version.partition(".")[0].split()[0]
    yield f"{number}. The database `{record.name}` (PostgreSQL {record.server_version}, {record.encoding})"
    yield ""
    yield f"Use the client programs of PostgreSQL {major} or newer, and a server of the same major version or newer."
    yield "PGHOST, PGPORT and PGUSER say which server and who you are: a superuser, or a role that may create"
    yield "databases and is a member of the roles below."
    yield ""
    if record.roles:
        yield "Roles that own or use objects, without their passwords. One that exists already is reported and no harm."
        yield ""
        for role in record.roles:
            yield f"{_INDENT}psql -X -d postgres -c {shlex.quote(role.create)}"
        yield ""
    if spaces := [*record.properties.tablespaces, *_own_tablespace(record)]:
        yield f"Tablespaces that must exist first (CREATE TABLESPACE): {', '.join(spaces)}"
        yield ""
    if record.format == "directory":
        yield "Create the database under its old name, with its encoding, owner, privileges and settings, and fill it."
        yield "It must not exist yet: rename the old one, do not drop it before you have seen the new one work."
        yield ""
        yield f"{_INDENT}pg_restore --create --exit-on-error --jobs=2 --dbname=postgres {record.dump}"
        yield ""
        yield "(To another name: create it with `createdb --template=template0`, leave out `--create`, and name it in"
        yield "`--dbname`. As a role that is not a superuser, add `--no-owner --no-privileges` where it is refused.)"
    else:
        options = f"--template=template0 --encoding={record.encoding}"
        if record.locale_provider == "libc":
            options += f" --lc-collate={shlex.quote(record.collation)} --lc-ctype={shlex.quote(record.ctype)}"
        yield "Create an empty database and run the script in it. It must not exist yet: rename the old one first."
        yield ""
        yield f"{_INDENT}createdb {options} {shlex.quote(record.name)}"
        yield f"{_INDENT}psql -X -q -v ON_ERROR_STOP=1 -d {shlex.quote(record.name)} -f {record.dump}"
        for setting in record.properties.settings:
            yield f"Setting to put back: {setting.role or 'every role'}, {setting.setting}"
    yield ""
    if record.exclude_table_data:
        yield f"Left out on purpose, so these tables come back empty: {', '.join(record.exclude_table_data)}"
        yield ""
    yield "Compare: `manifest.json` lists the number of rows of every table."
    yield ""


def _own_tablespace(record: PostgresqlRecord) -> list[str]:
    space = record.properties.tablespace
    return [] if space == "pg_default" else [space]


def _sqlite(record: SqliteRecord, number: int) -> Iterator[str]:
    yield f"{number}. The database (SQLite {record.sqlite_version})"
    yield ""
    yield f"With the application stopped, put {record.dump} in the place of"
    yield f"  {record.path}"
    yield "and move away what lies beside the old file under the same name with -wal, -shm or -journal at the end:"
    yield "SQLite would play it back into the restored file. Check the file before you use it:"
    yield ""
    yield f"{_INDENT}sqlite3 {record.dump} 'PRAGMA integrity_check'"
    yield ""


def _media(root: str, number: int) -> Iterator[str]:
    yield f"{number}. The media files"
    yield ""
    yield f"Move the old folder away and put {MEDIA_PREFIX} in its place:"
    yield f"  {root}"
    yield "Then give it the owner that the application runs as. `files.jsonl` lists size, hash, time, mode and owner of"
    yield "every file. A name in it with `path_b64` stands percent-encoded in the zip; the base64 holds its real bytes."
    yield ""
