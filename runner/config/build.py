"""From a candidate without problems to a `Profile`: types, defaults, absolute paths.

Everything here relies on the schema and the rules having found nothing. Where a variable is not set, the value stays
as it was written and a problem says so; the caller decides whether that matters.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, cast

from runner.config.apps import DEFAULT_MANAGE, DJANGO
from runner.config.dates import age_of, schedule_of
from runner.config.locations import located
from runner.config.place import KeyPath
from runner.config.reading import DEFAULT_SAFETY_COPIES, DEFAULT_STATE, SAFETY_DATABASE, UNASKED, Candidate, Reading
from runner.config.variables import Expanded, expand
from runner.messages import msg
from runner.model.problem import Problem
from runner.model.profile import (
    HOOK_SECONDS,
    UNLESS_SAID,
    AdminConfig,
    AppriseNotifier,
    ArchiveConfig,
    Command,
    Compression,
    DatabaseConfig,
    DjangoApp,
    EmailNotifier,
    HooksConfig,
    LocalDestination,
    MediaConfig,
    NotifierConfig,
    Occasion,
    PingNotifier,
    PostgresqlConfig,
    Profile,
    Reference,
    RestoreConfig,
    SafetyCopyConfig,
    SqliteConfig,
    Variant,
    WebhookNotifier,
)
from runner.model.secret import CommandSecret, EnvironmentSecret, FileSecret, SecretReference

UNSET_VARIABLE: Final = "configuration.variable-unset"


def build(candidate: Candidate) -> tuple[Profile, tuple[Problem, ...]]:
    """The profile, and one problem for each value with a variable that is not set."""
    builder = _Builder(candidate)
    return builder.profile(), tuple(builder.unset)


class _Builder:
    """One profile being built; `unset` gathers what is missing for it."""

    def __init__(self, candidate: Candidate) -> None:
        self.unset: list[Problem] = []
        self._candidate = candidate
        self._read = candidate.profile

    def profile(self) -> Profile:
        candidate = self._candidate
        profile = Profile(
            name=candidate.name,
            source=candidate.source,
            instance=candidate.instance,
            state=self._path(candidate.project, ("state",), DEFAULT_STATE),
            project=candidate.project.folder,
            archive=ArchiveConfig(
                name=candidate.archive_name or "",
                compression=Compression(self._read.text("archive", "compression") or Compression.AUTO),
                verify=self._read.flag("archive", "verify", default=True),
            ),
            destinations=tuple(
                LocalDestination(self._path(self._read, ("destinations", index, "path")))
                for index in self._read.items("destinations")
            ),
            restore=RestoreConfig(
                variants=(),
                safety_copy=SafetyCopyConfig(
                    path=self._path(self._read, ("restore", "safety_copy", "path"), DEFAULT_SAFETY_COPIES),
                    keep_last=self._read.number("restore", "safety_copy", "keep_last") or 3,
                    database=cast("Literal['dump', 'rename']", self._read.text(*SAFETY_DATABASE) or "dump"),
                ),
                admin=self._admin(),
            ),
            description=self._read.text("description") or "",
            database=self._database(),
            media=self._media(),
            hooks=self._hooks(),
            jobs=self._read.number("jobs"),
            priority=cast("Literal['normal', 'low']", self._read.text("priority") or "normal"),
            app=self._app(),
            schedule=schedule_of(self._read),
            notify=tuple(self._notifier(index) for index in self._read.items("notify")),
            language=cast("Literal['auto', 'en', 'fr']", self._read.text("language") or "auto"),
            max_age=age_of(self._read.text("alert", "max_age")),
            warnings=() if candidate.app is None else candidate.app.warnings,
        )
        stated = tuple(Variant(text) for _, text in self._read.texts("restore", "variants"))
        variants = stated or tuple(variant for variant in Variant if profile.serves(variant))
        return replace(profile, restore=replace(profile.restore, variants=variants))

    def _database(self) -> DatabaseConfig | None:
        if self._candidate.app is UNASKED:
            return None
        match self._read.text("database", "engine"):
            case "postgresql":
                return PostgresqlConfig(
                    name=self._text("database", "name") or "",
                    host=self._text("database", "host"),
                    port=self._read.number("database", "port"),
                    user=self._text("database", "user"),
                    password=self._secret("database", "password"),
                    sslmode=self._read.text("database", "sslmode"),
                    sslrootcert=self._optional_path("database", "sslrootcert"),
                    tools_bin=self._optional_path("database", "tools", "bin"),
                    exclude_table_data=self._list("database", "exclude_table_data"),
                    format=cast("Literal['directory', 'plain']", self._read.text("database", "format") or "directory"),
                    maintenance=self._read.text("database", "maintenance") or "postgres",
                )
            case "sqlite":
                return SqliteConfig(self._path(self._read, ("database", "path")))
        return None

    def _media(self) -> MediaConfig | None:
        if not self._read.has("media") or self._candidate.app is UNASKED:
            return None
        references = tuple(
            Reference(
                self._read.text("media", "references", index, "table") or "",
                self._read.text("media", "references", index, "column") or "",
            )
            for index in self._read.items("media", "references")
        )
        missing = self._read.text("media", "on_missing_reference") or "fail"
        return MediaConfig(
            root=self._path(self._read, ("media", "root")),
            exclude=self._list("media", "exclude"),
            required=self._list("media", "required"),
            references=references,
            url=self._read.text("media", "url"),
            on_missing_reference=cast("Literal['fail', 'warn']", missing),
        )

    def _app(self) -> DjangoApp | None:
        if not self._read.has(*DJANGO):
            return None
        return DjangoApp(
            manage=self._path(self._read, (*DJANGO, "manage"), DEFAULT_MANAGE),
            settings=self._read.text(*DJANGO, "settings"),
            python=self._optional_path("app", "django", "python"),
            database=self._read.text(*DJANGO, "database"),
            media=self._read.flag(*DJANGO, "media", default=True),
            references=not self._read.has("media", "references"),
        )

    def _admin(self) -> AdminConfig | None:
        user = self._text("restore", "admin", "user")
        return None if user is None else AdminConfig(user, self._secret("restore", "admin", "password"))

    def _hooks(self) -> HooksConfig:
        if not self._read.has("hooks"):
            return HooksConfig()
        return HooksConfig(
            before_apply=self._commands("before_apply"),
            after_apply=self._commands("after_apply"),
            before_restore=self._commands("before_restore"),
            after_restore=self._commands("after_restore"),
            on_error=self._commands("on_error"),
            timeout_seconds=self._read.number("hooks", "timeout") or HOOK_SECONDS,
            folder=self._candidate.project.folder,
        )

    def _notifier(self, index: int) -> NotifierConfig:
        path = ("notify", index)
        stated = frozenset(Occasion(text) for _, text in self._read.texts(*path, "on"))
        on = stated or UNLESS_SAID
        if self._read.has(*path, "email"):
            email = (*path, "email")
            security = self._read.text(*email, "security") or "starttls"
            return EmailNotifier(
                to=self._list(*email, "to"),
                sender=self._read.text(*email, "from") or "",
                host=self._text(*email, "host") or "",
                port=self._read.number(*email, "port") or {"starttls": 587, "tls": 465, "none": 25}[security],
                security=cast("Literal['starttls', 'tls', 'none']", security),
                user=self._text(*email, "user"),
                password=self._secret(*email, "password"),
                on=on,
            )
        for key, kind in (("webhook", WebhookNotifier), ("url", AppriseNotifier)):
            if (url := self._secret(*path, key)) is not None:
                return kind(url, on)
        url = self._secret(*path, "ping")
        assert url is not None  # noqa: S101 - the rules have seen to it
        style = self._read.text(*path, "style") or "healthchecks"
        return PingNotifier(url, cast("Literal['healthchecks', 'uptime-kuma', 'cronitor']", style))

    def _commands(self, event: str) -> tuple[Command, ...]:
        return tuple(self._list("hooks", event, index) for index in self._read.items("hooks", event))

    def _secret(self, *path: str | int) -> SecretReference | None:
        if (variable := self._read.text(*path, "env")) is not None:
            return EnvironmentSecret(variable)
        if self._read.has(*path, "file"):
            return FileSecret(self._path(self._read, (*path, "file")))
        if self._read.has(*path, "command"):
            return CommandSecret(self._list(*path, "command"))
        return None

    def _list(self, *path: str | int) -> tuple[str, ...]:
        return tuple(text for _, text in self._read.texts(*path))

    def _text(self, *path: str | int) -> str | None:
        text = self._read.text(*path)
        return None if text is None else self._filled(self._read, path, text).text

    def _optional_path(self, *path: str) -> Path | None:
        return None if self._read.text(*path) is None else self._path(self._read, path)

    def _path(self, reading: Reading, path: KeyPath, default: str = "") -> Path:
        """An absolute path, its links not followed; the text as it was written where a variable is not set."""
        filled = self._filled(reading, path, reading.text(*path) or default)
        return Path(filled.text) if filled.unset else located(filled.text, reading.folder)

    def _filled(self, reading: Reading, path: KeyPath, text: str) -> Expanded:
        filled = expand(text, reading.environ)
        for name in filled.unset:
            message = msg("the variable `{name}` is not set", name=name)
            hint = msg("set it, or write a default: `${{{name}:-value}}`", name=name)
            self.unset.append(replace(reading.document.problem(path, message, hint=hint), code=UNSET_VARIABLE))
        return filled
