"""The rules between two profiles: what one of them restores or deletes must not be another's.

A clash is a problem of both: neither can be run, whichever is asked for.
"""

from collections.abc import Iterator
from pathlib import Path

from runner.config.locations import inside, overlap
from runner.config.path_rules import places_of
from runner.config.place import KeyPath
from runner.config.reading import Candidate, Reading
from runner.messages import msg
from runner.model.problem import Problem

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def clashes(candidate: Candidate, other: Candidate) -> Iterator[Problem]:
    """What `candidate` and `other` may not both say, as problems of `candidate`."""
    document = candidate.document
    database = _database(candidate.profile)
    if database is not None and database == _database(other.profile):
        key = "path" if isinstance(database, Path) else "name"
        message = msg("the profile `{other}` backs up the same database", other=other.name)
        yield document.problem(("database", key), message, hint=msg("keep it in one of the two"))
    root, other_root = candidate.profile.location("media", "root"), other.profile.location("media", "root")
    if root and other_root and overlap(root, other_root):
        message = msg("the profile `{other}` backs up the same files", other=other.name)
        yield document.problem(("media", "root"), message, hint=msg("keep them in one of the two"))
    yield from _swept(candidate, other)
    if _same_text(candidate.archive_name, other.archive_name) and (path := _shared_folder(candidate, other)):
        message = msg("the profile `{other}` writes archives of the same name into the same folder", other=other.name)
        named = candidate.profile.has("archive", "name")
        hint = msg("put `{{profile}}` into `archive.name`")
        yield document.problem(("archive", "name") if named else path, message, hint=hint)


def _swept(candidate: Candidate, other: Candidate) -> Iterator[Problem]:
    """A restore swaps the media root as a whole: what another profile keeps in it would go with it."""
    hint = msg("choose folders that lie beside each other")
    for owner, guest in ((candidate, other), (other, candidate)):
        root = owner.profile.location("media", "root")
        if root is None:
            continue
        for place in places_of(guest):
            if not inside(place.location, root):
                continue
            if owner is candidate:
                message = msg("`{place}` of the profile `{other}` lies inside", place=place.text, other=other.name)
                yield candidate.document.problem(("media", "root"), message, hint=hint)
            else:
                message = msg(
                    "`{place}` lies inside `media.root` of the profile `{other}`", place=place.text, other=other.name
                )
                yield candidate.document.problem(place.path, message, hint=hint)


def _database(profile: Reading) -> Path | tuple[str, int, str] | None:
    """What identifies the database that a profile names: its file, or its server and name."""
    if profile.text("database", "engine") == "sqlite":
        return profile.location("database", "path")
    name, host = profile.filled("database", "name"), profile.filled("database", "host")
    if name is None or name.unset or (host is not None and host.unset):
        return None
    server = host.text.lower() if host else "localhost"
    port = profile.number("database", "port") or 5432
    return ("localhost" if server in _LOCAL_HOSTS else server, port, name.text)


def _same_text(one: str | None, other: str | None) -> bool:
    """Windows, macOS and most synchronised folders ignore the case of a file's name."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def _shared_folder(candidate: Candidate, other: Candidate) -> KeyPath | None:
    """The destination of `candidate` that `other` writes to as well."""
    others = {folder for _, folder in _folders(other.profile)}
    return next((path for path, folder in _folders(candidate.profile) if folder in others), None)


def _folders(profile: Reading) -> Iterator[tuple[KeyPath, object]]:
    for index in profile.items("destinations"):
        path: KeyPath = ("destinations", index, "path")
        if profile.text("destinations", index, "type") == "local" and (text := profile.text(*path)):
            yield path, profile.location(*path) or text
