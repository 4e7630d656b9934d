"""The manifest and the inventory of an archive, as the records that stand in it.

`docs/archive-format.md` is the public description and `schema/manifest.schema.json` the public check; both are held
against these classes by tests. Records are decoded strictly: an unknown field or a wrong type is damage.
"""

from typing import Literal

import msgspec

FORMAT_VERSION = 1

MANIFEST_NAME = "manifest.json"
INVENTORY_NAME = "files.jsonl"
RESTORE_NAME = "RESTORE.txt"
MEDIA_PREFIX = "media/"

Method = Literal["store", "deflate"]


class _Record(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What every record has in common: immutable, compact (defaults are left out), strict."""


class Member(_Record, frozen=True, kw_only=True):
    """One member of the zip that is not media. Sizes in bytes.

    `size` and `sha256` are of the content; `size_stored` and `sha256_stored` of the bytes as they lie in the zip, given
    for deflated members only (several deflate streams hold the same content). `zip64`: its local header has room for
    sizes of 4 GiB and more. `offset` is where its local header lies; archives that do not say it hold the dump, then
    the media, then the rest.
    """

    name: str
    size: int
    sha256: str
    method: Method = "store"
    size_stored: int | None = None
    sha256_stored: str | None = None
    zip64: bool = False
    offset: int | None = None


class InventoryEntry(_Record, frozen=True, kw_only=True):
    """One line of `files.jsonl`: a file, folder or link below the media root.

    `path` uses forward slashes and equals the name in the zip less `media/`; the root itself is `.`. Where that name
    had to be percent-encoded, `path_b64` holds the raw bytes. `mode` is the permission bits, `mtime_ns` nanoseconds
    since 1970 UTC. `changed`: the file changed each time it was read, so these bytes may mix two states of it.
    """

    path: str
    type: Literal["file", "directory", "link"]
    mtime_ns: int
    mode: int
    size: int = 0
    sha256: str | None = None
    method: Method = "store"
    size_stored: int | None = None
    sha256_stored: str | None = None
    zip64: bool = False
    path_b64: str | None = None
    target: str | None = None
    target_b64: str | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None
    changed: bool = False


class TableRecord(_Record, frozen=True, kw_only=True):
    """A table in the dump. `rows` were counted in the dumped bytes; None: left out by `exclude_table_data`."""

    name: str
    rows: int | None
    size: int = 0
    member: str | None = None


class SequenceRecord(_Record, frozen=True, kw_only=True):
    """A sequence's position, from the dump's own entries."""

    name: str
    last_value: int
    is_called: bool


class ExtensionRecord(_Record, frozen=True, kw_only=True):
    """An extension that the database uses."""

    name: str
    version: str
    schema: str


class RoleRecord(_Record, frozen=True, kw_only=True):
    """A role that the dump names. `create` is the statement that makes it, without a password."""

    name: str
    owns: bool
    create: str


class LargeObjectsRecord(_Record, frozen=True, kw_only=True):
    """How many large objects are in the dump, and the sum of their bytes."""

    count: int
    size: int


class MigrationRecord(_Record, frozen=True, kw_only=True):
    """One applied migration of Django."""

    app: str
    name: str


class DjangoRecord(_Record, frozen=True, kw_only=True):
    """Applied migrations, as `django_migrations` holds them. The version is known only to the application's Python."""

    migrations: tuple[MigrationRecord, ...]
    version: str | None = None


class SettingRecord(_Record, frozen=True, kw_only=True):
    """A setting kept by `ALTER DATABASE … SET` (role None) or `ALTER ROLE … IN DATABASE … SET`: `name=value`.

    `redacted`: its name says that it holds a secret, and the value is left out. The dump itself still has it.
    """

    role: str | None
    setting: str
    redacted: bool = False


class PropertiesRecord(_Record, frozen=True, kw_only=True):
    """What belongs to the database as a whole and is not in a dump of its content."""

    owner: str
    privileges: tuple[str, ...] = ()
    comment: str | None = None
    settings: tuple[SettingRecord, ...] = ()
    connection_limit: int = -1
    tablespace: str = "pg_default"
    tablespaces: tuple[str, ...] = ()


class PostgresqlRecord(_Record, frozen=True, kw_only=True, tag_field="engine", tag="postgresql"):
    """The database half of a manifest, PostgreSQL."""

    name: str
    host: str | None
    port: int | None
    format: Literal["directory", "plain"]
    server_version: str
    client_version: str
    encoding: str
    collation: str
    ctype: str
    locale_provider: str
    extensions: tuple[ExtensionRecord, ...]
    properties: PropertiesRecord
    roles: tuple[RoleRecord, ...]
    large_objects: LargeObjectsRecord
    size: int
    dump: str
    tables: tuple[TableRecord, ...]
    sequences: tuple[SequenceRecord, ...]
    exclude_table_data: tuple[str, ...] = ()
    icu_locale: str | None = None
    django: DjangoRecord | None = None


class SqliteRecord(_Record, frozen=True, kw_only=True, tag_field="engine", tag="sqlite"):
    """The database half of a manifest, SQLite."""

    path: str
    sqlite_version: str
    encoding: str
    page_size: int
    journal_mode: str
    user_version: int
    application_id: int
    size: int
    dump: str
    tables: tuple[TableRecord, ...]
    sequences: tuple[SequenceRecord, ...]
    django: DjangoRecord | None = None


DatabaseRecord = PostgresqlRecord | SqliteRecord


class ReferencesRecord(_Record, frozen=True, kw_only=True):
    """What was checked between the halves: columns, distinct values, and the values that were missing.

    `checked` None: the other half was not in this backup, so nothing could be compared.
    """

    columns: tuple[str, ...]
    checked: int | None
    missing: tuple[str, ...] = ()


class MediaRecord(_Record, frozen=True, kw_only=True):
    """The media half of a manifest. `bytes` is the sum of the files' content."""

    root: str
    exclude: tuple[str, ...]
    files: int
    directories: int
    links: int
    bytes: int


class WarningRecord(_Record, frozen=True, kw_only=True):
    """What the person who made the backup was warned of."""

    code: str
    message: str
    where: str | None = None


class Manifest(_Record, frozen=True, kw_only=True):
    """`manifest.json`: the last member of an archive, which every other byte is checked against.

    `members` are all members that are not media and not the manifest, in the order in which they lie in the zip: first
    the dump's, then the inventory and what comes after it. Media members lie before the inventory, in its order, in the
    places that the dump's members leave. `created_at` is UTC,
    `created_at_local` the same instant with the offset that names and DOS times in the zip use.
    """

    format_version: int
    archive_id: str
    profile: str
    instance: str
    host: str
    variant: Literal["full", "db-only", "media-only"]
    created_at: str
    created_at_local: str
    runner_version: str
    members: tuple[Member, ...]
    database: DatabaseRecord | None = None
    media: MediaRecord | None = None
    references: ReferencesRecord | None = None
    warnings: tuple[WarningRecord, ...] = ()
