"""`runner doctor`: everything that a backup and a restore will need, tried now, each with its way out.

Nothing is changed: what is tried (a file at the destination, a database on the server) is taken back.
"""

import locale
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from runner.databases.base import Offer
from runner.databases.examination import Seen
from runner.errors import Finding, Interrupted, LockHeld, ReferencesMissing, RunnerError, ToolMissing
from runner.messages import Message, msg
from runner.model.marks import RunNames
from runner.model.profile import LocalDestination, PostgresqlConfig, Profile, SqliteConfig, Variant
from runner.process import run
from runner.schedulers.choice import here
from runner.secrets import missing
from runner.state import ProfileState
from runner.workflow.catalogue import Mark, list_archives
from runner.workflow.health import health_of
from runner.workflow.media import check_sources, survey
from runner.workflow.pending import read_journal
from runner.workflow.places import open_capture, open_destination, open_restoration
from runner.workflow.references import ReferenceCheck
from runner.workflow.scheduling import job_of
from runner.workflow.surroundings import ONEDRIVE

CLOCK_SECONDS: Final = 60
_WINDOWS_CLOUD: Final = 0x00400000 | 0x00040000
"""FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS and FILE_ATTRIBUTE_RECALL_ON_OPEN: the content is not on this machine."""


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One line. `subject` names what was looked at, for programs: `server`, `destination`, …"""

    subject: str
    state: State
    message: Message
    where: str | None = None
    hint: Message | None = None


def examine(profile: Profile, root_file: Path | None, now: datetime) -> Iterator[Check]:
    """Every check, one after the other; what cannot be looked at is a problem of its own.

    What a problem makes pointless is left out: a server that does not answer is told of once.
    """
    broken: set[str] = set()
    looks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("state", lambda: _state(profile)),
        ("secrets", lambda: _secrets(profile)),
        ("database", lambda: () if "secrets" in broken else _database(profile)),
        ("media", lambda: _media(profile)),
        ("references", lambda: () if broken & {"state", "secrets", "database", "media"} else _references(profile)),
        ("restore", lambda: _restores(profile, asks=not broken & {"state", "secrets", "database"})),
        ("destination", lambda: _destinations(profile, now)),
        ("space", lambda: _space(profile)),
        ("clock", lambda: _clock(profile, now)),
        ("schedule", lambda: _schedule(profile, root_file)),
        ("backups", lambda: _backups(profile, now)),
    ]
    for subject, look in looks:
        for check in _looked(subject, look):
            if check.state is State.PROBLEM:
                broken.add(check.subject)
            yield check


def _looked(subject: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except Interrupted:
        raise
    except RunnerError as error:
        yield from problem_of(subject, error)
    except OSError as error:
        message = msg("it cannot be looked at: {reason}", reason=error.strerror or str(error))
        hint = msg("check that its disk is connected, and the permissions there")
        yield Check(subject, State.PROBLEM, message, error.filename, hint)


def problem_of(subject: str, error: RunnerError) -> tuple[Check, ...]:
    """An error as checks."""
    return tuple(_problem(subject, finding) for finding in error.findings)


def _problem(subject: str, finding: Finding) -> Check:
    return Check(subject, State.PROBLEM, finding.message, finding.where, finding.hint)


def _warning(subject: str, finding: Finding) -> Check:
    return Check(subject, State.WARNING, finding.message, finding.where, finding.hint)


def _secrets(profile: Profile) -> Iterator[Check]:
    """What a backup cannot do without is a problem; whom to tell, and an administrator, are warnings."""
    needed = missing(profile.database_password)
    yield from (_problem("secrets", finding) for error in needed for finding in error.findings)
    others = [error for each in (*profile.notify_secrets, profile.admin_password) for error in missing(each)]
    yield from (_warning("secrets", finding) for error in others for finding in error.findings)


def _database(profile: Profile) -> Iterator[Check]:
    match profile.database:
        case None:
            return
        case PostgresqlConfig() as config:
            from runner.databases.postgresql import examination

            seen = examination.look(config)
            yield from _facts(seen)
            examination.try_backup(config)
            yield Check("database", State.OK, msg("the role may read everything that a backup needs"), seen.label)
        case SqliteConfig() as sqlite:
            from runner.databases.sqlite import examination as sqlite_examination

            yield from _facts(sqlite_examination.look(sqlite))


def _facts(seen: Seen) -> Iterator[Check]:
    for fact in seen.facts:
        yield Check("database", State.OK, fact)
    if seen.clock is not None:
        apart = abs((seen.clock - datetime.now(UTC)).total_seconds())
        if apart > CLOCK_SECONDS:
            message = msg("the server's clock and this machine's are {seconds} s apart", seconds=round(apart))
            hint = msg("let both follow a time server: archives are ordered by their time")
            yield Check("clock", State.WARNING, message, seen.label, hint)


def _media(profile: Profile) -> Iterator[Check]:
    media = profile.media
    if media is None:
        return
    failed = [finding for error in check_sources(media) for finding in error.findings]
    yield from (_problem("media", finding) for finding in failed)
    if failed:
        return
    found = survey(media, profile.archive.compression)
    message = msg("files can be read: {files}, {size} MiB", files=found.files, size=found.bytes >> 20)
    yield Check("media", State.OK, message, str(media.root))
    if absent := _placeholders(media.root):
        message = msg("files are in the cloud alone, and each is fetched when it is read: {count}", count=absent)
        hint = msg("let the folder be kept on this device (OneDrive: “Always keep on this device”)")
        yield Check("media", State.WARNING, message, str(media.root), hint)


def _references(profile: Profile) -> Iterator[Check]:
    """Every file that the database names, looked up as a backup does it."""
    if profile.database is None or profile.media is None or not profile.media.references:
        return
    with tempfile.TemporaryDirectory() as folder, open_capture(profile.database, Path(folder), "doctor") as capture:
        check = ReferenceCheck(capture, profile.media)
        try:
            check.run()
        except ReferencesMissing as error:
            for finding in error.findings:
                yield Check("references", State.PROBLEM, finding.message, finding.where, error.hint)
            return
    message = msg("files that the database names are there: {count}", count=check.checked)
    if check.warnings:
        yield from (_warning("references", finding) for finding in check.warnings)
    else:
        yield Check("references", State.OK, message)


def _placeholders(root: Path) -> int:
    """Files whose content is not on this machine; only Windows has the attribute that says so."""
    if os.name != "nt":
        return 0
    count = 0
    for path in root.rglob("*"):
        with suppress(OSError):
            count += bool(getattr(path.stat(), "st_file_attributes", 0) & _WINDOWS_CLOUD)
    return count


def _restores(profile: Profile, *, asks: bool) -> Iterator[Check]:
    """For the allowed variants: what the preflight says, and a try at what it makes first. `asks` the database."""
    variants = profile.restore.variants
    if asks and profile.database is not None and any(variant.has_database for variant in variants):
        yield from _database_restore(profile)
    media = profile.media
    if media is not None and any(variant.has_media for variant in variants):
        beside = media.root.resolve().parent
        yield from _tried_to_write("restore", beside, msg("a restore may unpack files beside the media root"))
        copies = profile.restore.safety_copy.path
        place = copies if copies.is_dir() else copies.parent
        yield from _tried_to_write("restore", place, msg("safety copies can be kept"))
    names = ", ".join(variant.value for variant in Variant if variant in variants)
    yield Check("restore", State.OK, msg("allowed: {variants}", variants=names))


def _database_restore(profile: Profile) -> Iterator[Check]:
    config = profile.database
    is_server = isinstance(config, PostgresqlConfig)
    now = datetime.now().astimezone()
    names = RunNames(f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}")
    with tempfile.TemporaryDirectory() as folder:
        restoration = open_restoration(profile, names, None, None, Path(folder))
        with restoration:
            found = restoration.preflight(Offer("folder" if is_server else "file", None, trusted=True))
            yield from (_problem("restore", finding) for finding in found.errors)
            yield from (
                _warning("restore", finding) for finding in found.warnings if finding.code != "restore.not-compared"
            )
            if found.errors:
                return
    if isinstance(config, PostgresqlConfig):
        from runner.databases.postgresql import examination

        examination.try_creating(config, profile.restore.admin)
    yield Check("restore", State.OK, msg("a restore of the database can be made"))


def _destinations(profile: Profile, now: datetime) -> Iterator[Check]:
    for config in profile.destinations:
        destination = open_destination(config)
        try:
            destination.check()
        except RunnerError as error:
            yield from problem_of("destination", error)
            continue
        match config:
            case LocalDestination(path=path):
                yield from _tried_to_write("destination", path, msg("archives can be written"))
                yield from _synchronised(path)
    catalogue = list_archives(profile, now)
    for listed in catalogue.archives:
        if listed.marks & {Mark.DAMAGED, Mark.UNREADABLE, Mark.FUTURE}:
            message = msg("the archive is {marks}", marks=", ".join(sorted(mark.value for mark in listed.marks)))
            hint = msg("look at it: `runner verify {profile} {name}`", profile=profile.name, name=listed.name)
            yield Check("destination", State.WARNING, message, listed.destination.locate(listed.name), hint)


def _tried_to_write(subject: str, folder: Path, message: Message) -> Iterator[Check]:
    """Make a file and remove it: permissions, quotas and read-only disks show only so."""
    place = folder / f".runner-doctor-{secrets.token_hex(4)}"
    try:
        with place.open("xb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = error.strerror or str(error)
        hint = msg("check the permissions of the folder, its free space, and that its disk is not read-only")
        yield Check(subject, State.PROBLEM, msg("it cannot be written to: {reason}", reason=reason), str(folder), hint)
        return
    finally:
        with suppress(OSError):
            place.unlink()
    yield Check(subject, State.OK, message, str(folder))


def _synchronised(folder: Path) -> Iterator[Check]:
    """A folder of OneDrive is off this machine only while its program runs."""
    roots = [root for name in ONEDRIVE if (root := os.environ.get(name))]
    if os.name != "nt" or not any(folder.is_relative_to(root) for root in roots):
        return
    tasks = run(["tasklist", "/FI", "IMAGENAME eq OneDrive.exe", "/NH", "/FO", "CSV"])
    if b"OneDrive.exe" not in tasks:
        message = msg("OneDrive is not running, so nothing of this folder leaves the machine")
        hint = msg("start OneDrive, and let it start at logon")
        yield Check("destination", State.WARNING, message, str(folder), hint)


def _space(profile: Profile) -> Iterator[Check]:
    """Room for an archive like the last one, and for a restore beside what is live."""
    last = ProfileState.of(profile).last_backup()
    if last is None or last.archive_bytes is None:
        yield Check("space", State.OK, msg("how much room a backup needs is known after the first one"))
        return
    places = [
        (profile.state, msg("the state folder")),
        *((each.path, msg("a destination")) for each in profile.destinations),
    ]
    if profile.media is not None:
        places.append((profile.media.root.parent, msg("the disk of the media root, for a restore")))
    for folder, name in places:
        with suppress(OSError):
            there = next((each for each in (folder, *folder.parents) if each.exists()), None)
            if there is None:
                continue  # a drive that is not connected, which the destination has told
            free = shutil.disk_usage(there).free
            if free < last.archive_bytes:
                message = msg(
                    "{place}: {free} MiB are free, and the last archive has {size} MiB",
                    place=name,
                    free=free >> 20,
                    size=last.archive_bytes >> 20,
                )
                yield Check("space", State.PROBLEM, message, str(folder), msg("free some space there"))
            else:
                message = msg("{place}: {free} MiB are free", place=name, free=free >> 20)
                yield Check("space", State.OK, message, str(folder))


def _state(profile: Profile) -> Iterator[Check]:
    state = ProfileState.of(profile)
    journal = read_journal(state)
    if journal is not None:
        message = msg("a restore was interrupted")
        hint = msg("run `runner recover {profile}`", profile=profile.name)
        yield Check("state", State.PROBLEM, message, str(state.journal_path), hint)
    try:
        with state.locked():
            yield Check("state", State.OK, msg("no other run holds the lock"), str(profile.state))
    except LockHeld as error:
        yield Check("state", State.WARNING, error.message, error.where, error.hint)


def _clock(profile: Profile, now: datetime) -> Iterator[Check]:
    last = ProfileState.of(profile).last_backup()
    with suppress(ValueError):
        if last is not None and datetime.fromisoformat(last.created_at) > now:
            message = msg("the last backup was made in the future: {time}", time=last.created_at)
            yield Check(
                "clock", State.WARNING, message, None, msg("set this machine's clock, and let it follow a time server")
            )
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") != "utf8":
        message = msg("names of files are taken for {encoding}", encoding=encoding)
        hint = msg("set `LANG` to a locale with UTF-8, or `PYTHONUTF8=1`")
        yield Check("clock", State.WARNING, message, None, hint)
    words = msg(
        "it is {time}, time zone {zone}, locale {locale}",
        time=now.strftime("%Y-%m-%d %H:%M:%S"),
        zone=now.strftime("%Z (UTC%z)"),
        locale=".".join(part for part in locale.getlocale() if part) or "C",
    )
    yield Check("clock", State.OK, words)


def _schedule(profile: Profile, root_file: Path | None) -> Iterator[Check]:
    if profile.schedule is None:
        message = msg(
            "the profile has no schedule: backups are made by hand, or by something that runner does not know"
        )
        yield Check("schedule", State.OK, message)
        return
    job = job_of(profile, Path("backup.yml") if root_file is None else root_file)
    for scheduler in here():
        with suppress(ToolMissing):
            for part in scheduler.installed(job):
                yield Check("schedule", State.OK, msg("installed"), part.place)
                return
    if ProfileState.of(profile).is_watched():
        yield Check("schedule", State.OK, msg("`runner run-due --watch` is running"))
        return
    hint = msg("run `runner schedule install {profile}`, or let `runner run-due --watch` run", profile=profile.name)
    yield Check("schedule", State.WARNING, msg("its timer is not installed"), None, hint)


def _backups(profile: Profile, now: datetime) -> Iterator[Check]:
    health = health_of(profile, now)
    yield from (_warning("backups", problem) for problem in health.problems)
    if health.newest is not None and not health.problems:
        yield Check("backups", State.OK, msg("the newest good backup is {name}", name=health.newest.name))
