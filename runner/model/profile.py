"""A profile as the rest of runner sees it: validated, defaults merged, variables filled in, paths absolute."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from runner.errors import Finding
from runner.model.secret import SecretReference


class Variant(StrEnum):
    """What a backup holds, or what a restore brings back."""

    FULL = "full"
    DB_ONLY = "db-only"
    MEDIA_ONLY = "media-only"

    @property
    def has_database(self) -> bool:
        return self is not Variant.MEDIA_ONLY

    @property
    def has_media(self) -> bool:
        return self is not Variant.DB_ONLY


class Compression(StrEnum):
    """How members are written: `auto` stores what is compressed already and deflates the rest at a fast level."""

    AUTO = "auto"
    STORE = "store"
    FAST = "fast"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class PostgresqlConfig:
    """A PostgreSQL database. What is None is left to libpq (`PGHOST`, `.pgpass`, peer authentication, …)."""

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: SecretReference | None = None
    sslmode: str | None = None
    sslrootcert: Path | None = None
    tools_bin: Path | None = None
    exclude_table_data: tuple[str, ...] = ()
    format: Literal["directory", "plain"] = "directory"
    maintenance: str = "postgres"


@dataclass(frozen=True, slots=True)
class SqliteConfig:
    """A SQLite database: one file, with whatever sidecars SQLite keeps beside it."""

    path: Path


DatabaseConfig = PostgresqlConfig | SqliteConfig


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds a path below the media root. `table` may carry a schema: `public.finance_payment`."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class MediaConfig:
    """The folder of uploaded files. `exclude` holds globs on paths below `root`, `required` folders or files there.

    `url` is the prefix under which the application serves the files (Django's MEDIA_URL), stripped from references.
    """

    root: Path
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    url: str | None = None
    on_missing_reference: Literal["fail", "warn"] = "fail"


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`name` holds `{timestamp}` once; `verify` re-reads every archive before it gets its name."""

    name: str
    compression: Compression = Compression.AUTO
    verify: bool = True


@dataclass(frozen=True, slots=True)
class LocalDestination:
    """A folder that exists already."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


DestinationConfig = LocalDestination


@dataclass(frozen=True, slots=True)
class SafetyCopyConfig:
    """Where a restore keeps the state that it replaces, and how many of them.

    `database`: `dump` writes the replaced PostgreSQL database out and drops it; `rename` leaves it on the server under
    another name, where `undo` finds it again at once.
    """

    path: Path
    keep_last: int = 3
    database: Literal["dump", "rename"] = "dump"


Command = tuple[str, ...]
HOOK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class HooksConfig:
    """Programs to run around the work, as argument lists, in `folder`; `timeout_seconds` is for each of them."""

    before_apply: tuple[Command, ...] = ()
    after_apply: tuple[Command, ...] = ()
    before_restore: tuple[Command, ...] = ()
    after_restore: tuple[Command, ...] = ()
    on_error: tuple[Command, ...] = ()
    timeout_seconds: float = HOOK_SECONDS
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """A role that may create databases, used by a restore when the application's role may not."""

    user: str
    password: SecretReference | None = None


@dataclass(frozen=True, slots=True)
class RestoreConfig:
    """Which restores are allowed, and what they keep."""

    variants: tuple[Variant, ...]
    safety_copy: SafetyCopyConfig
    admin: AdminConfig | None = None


@dataclass(frozen=True, slots=True)
class DjangoApp:
    """A Django project whose settings say where the database and the files are.

    What is None is found: the settings module that `manage` names, the Python beside it, the one entry of `DATABASES`.
    With `media` False the uploads are left out; with `references` True the settings are asked which columns name files.
    """

    manage: Path
    settings: str | None = None
    python: Path | None = None
    database: str | None = None
    media: bool = True
    references: bool = True


class Occasion(StrEnum):
    """What a notifier may be told of."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    RECOVERY = "recovery"
    OVERDUE = "overdue"


UNLESS_SAID = frozenset(Occasion) - {Occasion.SUCCESS}


@dataclass(frozen=True, slots=True)
class EmailNotifier:
    """A mail through a server; `user` None: no login. `security` as in the schema."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretReference | None = None
    on: frozenset[Occasion] = UNLESS_SAID

    def __str__(self) -> str:
        return f"e-mail to {', '.join(self.to)}"


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """An address that takes JSON by POST."""

    url: SecretReference
    on: frozenset[Occasion] = UNLESS_SAID

    def __str__(self) -> str:
        return f"webhook, {self.url}"


@dataclass(frozen=True, slots=True)
class PingNotifier:
    """An address that expects to hear of every backup, and raises the alarm by itself when it does not."""

    url: SecretReference
    style: Literal["healthchecks", "uptime-kuma", "cronitor"] = "healthchecks"

    def __str__(self) -> str:
        return f"ping, {self.url}"


@dataclass(frozen=True, slots=True)
class AppriseNotifier:
    """One of the services that Apprise knows."""

    url: SecretReference
    on: frozenset[Occasion] = UNLESS_SAID

    def __str__(self) -> str:
        return f"apprise, {self.url}"


NotifierConfig = EmailNotifier | WebhookNotifier | PingNotifier | AppriseNotifier


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a backup is due, in local time, as five fields of cron.

    `minute`: it is due at this minute of some hours, never at another; None where only the fields can tell.
    """

    cron: str
    minute: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One application: what to back up, where to put it, which restores are allowed.

    At least one of `database` and `media` is present, or `app`, whose settings were not asked then. `state` is the
    folder of locks, work in progress and records, `project` the one of backup.yml. `jobs`: how many threads and
    connections work at once, None for as many as there are cores to use.
    """

    name: str
    source: Path
    instance: str
    state: Path
    archive: ArchiveConfig
    destinations: tuple[DestinationConfig, ...]
    restore: RestoreConfig
    description: str = ""
    database: DatabaseConfig | None = None
    media: MediaConfig | None = None
    hooks: HooksConfig = HooksConfig()
    project: Path | None = None
    jobs: int | None = None
    priority: Literal["normal", "low"] = "normal"
    app: DjangoApp | None = None
    schedule: Schedule | None = None
    notify: tuple[NotifierConfig, ...] = ()
    language: Literal["auto", "en", "fr"] = "auto"
    max_age: timedelta | None = None
    """How old the newest good backup may be before it is overdue."""
    elsewhere: bool = False
    """The destinations are those of `--dest`, this once, and not the profile's own."""
    warnings: tuple[Finding, ...] = ()
    """What is to be told whenever it is carried out."""

    @property
    def database_password(self) -> SecretReference | None:
        return self.database.password if isinstance(self.database, PostgresqlConfig) else None

    @property
    def admin_password(self) -> SecretReference | None:
        return None if self.restore.admin is None else self.restore.admin.password

    @property
    def notify_secrets(self) -> tuple[SecretReference, ...]:
        """Addresses and passwords of those who are told."""
        found = (each.password if isinstance(each, EmailNotifier) else each.url for each in self.notify)
        return tuple(reference for reference in found if reference is not None)

    def serves(self, variant: Variant) -> bool:
        """Whether this profile has all the parts that `variant` holds."""
        if variant.has_database and self.database is None:
            return False
        return not (variant.has_media and self.media is None)

    @property
    def natural_variant(self) -> Variant:
        """The variant that holds everything this profile has."""
        if self.media is None:
            return Variant.DB_ONLY
        return Variant.MEDIA_ONLY if self.database is None else Variant.FULL
