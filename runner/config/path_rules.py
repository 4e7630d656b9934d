"""Which places of one profile may not lie inside each other.

What runner writes (archives, safety copies, its state) must not be backed up with the uploads, and a restore that
swaps the media root must not swap away a database, an archive or a journal with it. The rule itself works on pure
paths; a place whose variables are not set is left out until they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from runner.config.locations import inside, resolved
from runner.config.place import KeyPath
from runner.config.reading import DEFAULT_SAFETY_COPIES, DEFAULT_STATE, Candidate
from runner.messages import Message, msg
from runner.model.problem import Problem
from runner.model.profile import Profile

MEDIA_ROOT: Final[KeyPath] = ("media", "root")


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that a profile names. `text` is how it is written there, `path` where problems with it stand."""

    path: KeyPath
    text: str
    location: PurePath
    holds_files: bool = True


def places_are_apart(candidate: Candidate) -> Iterator[Problem]:
    root = candidate.profile.location(*MEDIA_ROOT)
    if root is None:
        return
    text = candidate.profile.text(*MEDIA_ROOT) or ""
    if inside(resolved(candidate.profile.folder), root):
        message = msg("`{root}` holds backup.yml and all that lies beside it, not uploads alone", root=text)
        hint = msg("name the folder of the uploads itself, for example `media`")
        yield candidate.document.problem(MEDIA_ROOT, message, hint=hint)
        return  # so does it hold every relative path: one mistake
    for place, message in conflicts(Place(MEDIA_ROOT, text, root), list(places_of(candidate))):
        hint = msg("choose folders that lie beside each other")
        yield candidate.document.problem(place.path, message, hint=hint)


def conflicts(root: Place, places: list[Place]) -> Iterator[tuple[Place, Message]]:
    """The places that lie inside the media root, or hold it, with what to say of each."""
    for place in places:
        if inside(place.location, root.location):
            yield place, msg("`{place}` lies inside `media.root` (`{root}`)", place=place.text, root=root.text)
        elif place.holds_files and inside(root.location, place.location):
            yield place, msg("`{place}` holds `media.root` (`{root}`)", place=place.text, root=root.text)


def destination_conflict(profile: Profile, folder: Path) -> Message | None:
    """What to say of a folder that is to take the place of a profile's destinations, if it may not."""
    if profile.media is None:
        return None
    root = Place(MEDIA_ROOT, str(profile.media.root), resolved(profile.media.root))
    place = Place(("destinations",), str(folder), resolved(folder))
    return next((message for _, message in conflicts(root, [place])), None)


def places_of(candidate: Candidate) -> Iterator[Place]:
    """What a profile writes besides its media. A default stands where it is missing, at `media.root`."""
    profile, project = candidate.profile, candidate.project
    if database := profile.location("database", "path"):
        text = profile.text("database", "path") or ""
        yield Place(("database", "path"), text, database, holds_files=False)
    path: KeyPath
    for index in profile.items("destinations"):
        path = ("destinations", index, "path")
        local = profile.text("destinations", index, "type") == "local"
        if local and (folder := profile.location(*path)):
            yield Place(path, profile.text(*path) or "", folder)
    path = ("restore", "safety_copy", "path")
    if copies := profile.location(*path, default=DEFAULT_SAFETY_COPIES):
        stated = profile.has(*path)
        yield Place(path if stated else MEDIA_ROOT, profile.text(*path) or DEFAULT_SAFETY_COPIES, copies)
    if state := project.location("state", default=DEFAULT_STATE):
        yield Place(MEDIA_ROOT, project.text("state") or DEFAULT_STATE, state)
