"""What a schema cannot say: the rules between the parts of one profile.

Each rule looks at one thing and says everything that is wrong with it. The rule about places is in
`path_rules`, the rules between profiles are in `neighbours`.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from runner.config.archive_names import faults
from runner.config.dates import KINDS
from runner.config.path_rules import places_are_apart
from runner.config.place import ROOT, KeyPath
from runner.config.reading import SAFETY_DATABASE, Candidate, is_expanded
from runner.config.variables import misspelt
from runner.media.select import Selection
from runner.messages import Message, msg
from runner.model.problem import Problem
from runner.model.profile import Variant
from runner.schedulers.times import cron_fault

Rule = Callable[[Candidate], Iterator[Problem]]

_EVERYTHING: Final = frozenset({"*", "**", "**/*", "*/**"})
_ANY_FILE: Final = "~~"


def something_to_back_up(candidate: Candidate) -> Iterator[Problem]:
    if candidate.lacks("database") and candidate.lacks("media") and candidate.lacks("app"):
        message = msg("neither `database` nor `media` is here, so there is nothing to back up")
        yield candidate.document.problem(ROOT, message, hint=msg("add one of them, or both"))


def somewhere_to_put_it(candidate: Candidate) -> Iterator[Problem]:
    if candidate.lacks("destinations"):
        message = msg("this key is missing, so there is nowhere to put an archive")
        hint = msg("add it here or under `defaults` in backup.yml, for example `- {{type: local, path: PATH}}`")
        yield candidate.document.problem(("destinations",), message, hint=hint)


def variants_have_their_parts(candidate: Candidate) -> Iterator[Problem]:
    for path, text in candidate.profile.texts("restore", "variants"):
        if text not in list(Variant):
            continue
        variant = Variant(text)
        for part, needed in (("database", variant.has_database), ("media", variant.has_media)):
            if needed and candidate.lacks(part):
                message = msg("`{variant}` needs `{part}`, and this profile has none", variant=text, part=part)
                yield candidate.document.problem(path, message, hint=msg("remove it from the list"))


def admin_has_a_server(candidate: Candidate) -> Iterator[Problem]:
    engine = candidate.profile.text("database", "engine")
    if candidate.profile.has("restore", "admin") and (engine == "sqlite" or candidate.lacks("database")):
        message = msg("a role that may create databases is for PostgreSQL, and this profile has no such database")
        yield candidate.document.problem(("restore", "admin"), message, hint=msg("remove it"), of_key=True)


def renaming_has_a_server(candidate: Candidate) -> Iterator[Problem]:
    engine = candidate.profile.text("database", "engine")
    renames = candidate.profile.text(*SAFETY_DATABASE) == "rename"
    if renames and (engine == "sqlite" or candidate.lacks("database")):
        message = msg("`rename` keeps a PostgreSQL database on its server, and this profile has no such database")
        yield candidate.document.problem(SAFETY_DATABASE, message, hint=msg("write `dump`, or remove it"))


def schedule_says_one_thing(candidate: Candidate) -> Iterator[Problem]:
    path = ("schedule",)
    if not candidate.profile.has(*path):
        return
    said = [kind for kind in KINDS if candidate.profile.has(*path, kind)]
    if len(said) != 1:
        message = msg("must say when, in one way: {found} were found", found=len(said))
        hint = msg('write one of `hourly: 15`, `daily: "23:00"`, `weekly: sun 23:00` and `cron: 0 23 * * 1-5`')
        yield candidate.document.problem(path, message, hint=hint, of_key=True)
    fields = candidate.profile.text(*path, "cron")
    if fields is not None and (fault := cron_fault(fields)) is not None:
        hint = msg("minute, hour, day of the month, month, day of the week: `0 23 * * 1-5`")
        yield candidate.document.problem((*path, "cron"), msg("is no schedule: {fault}", fault=fault), hint=hint)


_WAYS: Final = ("email", "webhook", "ping", "url")


def notifiers_have_one_way(candidate: Candidate) -> Iterator[Problem]:
    for index in candidate.profile.items("notify"):
        path = ("notify", index)
        said = [way for way in _WAYS if candidate.profile.has(*path, way)]
        if len(said) != 1:
            message = msg("must name one way to tell somebody: {found} were found", found=len(said))
            hint = msg("write one of `email`, `webhook`, `ping` and `url`, and a second entry for another")
            yield candidate.document.problem(path, message, hint=hint)
        elif said == ["ping"] and candidate.profile.has(*path, "on"):
            message, hint = msg("a `ping` hears of every backup"), msg("remove it, or tell somebody by another way")
            yield candidate.document.problem((*path, "on"), message, hint=hint, of_key=True)
        elif said != ["ping"] and candidate.profile.has(*path, "style"):
            message, hint = msg("`style` is for `ping`"), msg("remove it")
            yield candidate.document.problem((*path, "style"), message, hint=hint, of_key=True)


def hooks_name_a_program(candidate: Candidate) -> Iterator[Problem]:
    for event in ("before_apply", "after_apply", "before_restore", "after_restore", "on_error"):
        for index in candidate.profile.items("hooks", event):
            path = ("hooks", event, index, 0)
            program = candidate.profile.text(*path)
            if program is not None and not program.strip():
                message, hint = msg("names no program"), msg("write it first, its arguments after it")
                yield candidate.document.problem(path, message, hint=hint)


def archive_name_is_legal(candidate: Candidate) -> Iterator[Problem]:
    path = ("archive", "name")
    if (name := candidate.profile.text(*path)) is not None:
        for message, hint in faults(name):
            yield candidate.document.problem(path, message, hint=hint)


def references_have_a_database(candidate: Candidate) -> Iterator[Problem]:
    path = ("media", "references")
    if len(candidate.profile.items(*path)) and candidate.lacks("database"):
        message = msg("references are looked up in the database, and this profile has none")
        hint = msg("add `database`, or remove the references")
        yield candidate.document.problem(path, message, hint=hint, of_key=True)


def references_are_distinct(candidate: Candidate) -> Iterator[Problem]:
    seen: dict[tuple[str, str], int] = {}
    for index in candidate.profile.items("media", "references"):
        path: KeyPath = ("media", "references", index)
        table, column = candidate.profile.text(*path, "table"), candidate.profile.text(*path, "column")
        if table is None or column is None:
            continue
        first = seen.setdefault((table, column), index)
        if first != index:
            message = msg("the same column as `media.references[{first}]`", first=first)
            yield candidate.document.problem(path, message, hint=msg("keep one of the two"))


def destinations_are_distinct(candidate: Candidate) -> Iterator[Problem]:
    seen: dict[object, int] = {}
    for index in candidate.profile.items("destinations"):
        if candidate.profile.text("destinations", index, "type") != "local":
            continue
        path = ("destinations", index, "path")
        # Two texts with the same unset variable lead to the same place, wherever that is.
        place = candidate.profile.location(*path) or candidate.profile.text(*path)
        first = seen.setdefault(place, index) if place else index
        if first != index:
            message = msg("the same folder as `destinations[{first}]`", first=first)
            yield candidate.document.problem(path, message, hint=msg("keep one of the two"))


def required_lies_below_the_root(candidate: Candidate) -> Iterator[Problem]:
    for path, text in candidate.profile.texts("media", "required"):
        if fault := _fault_below_root(text):
            message, hint = fault
            yield candidate.document.problem(path, message, hint=hint)


def exclude_is_a_glob(candidate: Candidate) -> Iterator[Problem]:
    for path, text in candidate.profile.texts("media", "exclude"):
        if text in _EVERYTHING:
            message, hint = msg("this leaves out everything"), msg("remove `media` if no files are to be backed up")
        elif fault := _fault_below_root(text):
            message, hint = fault
        elif not _is_pattern(text):
            message, hint = msg("is not a pattern"), msg("close each `[` with `]`, and write sets as in `[a-z]`")
        else:
            continue
        yield candidate.document.problem(path, message, hint=hint)


def required_is_not_excluded(candidate: Candidate) -> Iterator[Problem]:
    excluded = Selection(text for _, text in candidate.profile.texts("media", "exclude") if _is_good(text))
    for path, text in candidate.profile.texts("media", "required"):
        required = text.rstrip("/")
        # The second question is whether anything would be left in it, were it a folder.
        if pattern := excluded.excluding(required) or excluded.excluding(f"{required}/{_ANY_FILE}"):
            message = msg("this is required, and `exclude` leaves it out by `{pattern}`", pattern=pattern)
            yield candidate.document.problem(path, message, hint=msg("remove it here or there"))


def variables_are_well_written(candidate: Candidate) -> Iterator[Problem]:
    for path in filter(is_expanded, candidate.document.values):
        text = candidate.profile.text(*path)
        if text is not None and (mistake := misspelt(text)):
            yield candidate.document.problem(path, mistake.message, hint=mistake.hint)


def _fault_below_root(text: str) -> tuple[Message, Message] | None:
    """What is wrong with a path, or a glob on paths, below the media root."""
    if not text.isprintable():
        return msg("holds an invisible character"), msg("type it anew")
    if not text.strip() or text.strip("/") in {"", "."}:
        return msg("names nothing below `media.root`"), msg("name a file or folder below it, or remove it")
    if "\\" in text:
        return msg("holds a backslash"), msg("paths below `media.root` use forward slashes on every system")
    if text.startswith("/") or PureWindowsPath(text).drive:
        return msg("must be relative to `media.root`"), msg("leave out what leads to `media.root`")
    if ".." in PurePosixPath(text).parts:
        return msg("leads out of `media.root`"), msg("remove the `..`")
    return None


def _is_pattern(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of sets that a later Python may read otherwise
            Selection([text])
    except (re.error, FutureWarning):
        return False
    return True


def _is_good(pattern: str) -> bool:
    return pattern not in _EVERYTHING and _fault_below_root(pattern) is None and _is_pattern(pattern)


RULES: Final[tuple[Rule, ...]] = (
    something_to_back_up,
    somewhere_to_put_it,
    variants_have_their_parts,
    admin_has_a_server,
    renaming_has_a_server,
    hooks_name_a_program,
    schedule_says_one_thing,
    notifiers_have_one_way,
    archive_name_is_legal,
    references_have_a_database,
    references_are_distinct,
    destinations_are_distinct,
    required_lies_below_the_root,
    exclude_is_a_glob,
    required_is_not_excluded,
    variables_are_well_written,
    places_are_apart,
)
