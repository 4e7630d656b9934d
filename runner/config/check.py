"""The recipe: from names and files to problems and profiles.

A profile that is checked is read, held against the schema, then against the rules and its neighbours, and built when
nothing was found. Its neighbours are read for what they share with it; their own mistakes are not its problem.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.apps import DJANGO, Follow, settings_say_it, unasked, with_settings
from runner.config.build import build
from runner.config.locations import located
from runner.config.neighbours import clashes
from runner.config.place import ROOT
from runner.config.reading import Candidate
from runner.config.root import BACKUP_FILE, Root, in_order, invalid, is_file_name, open_root, root_of
from runner.config.rules import RULES
from runner.config.schema_check import check_schema
from runner.config.suggest import closest
from runner.config.unbuilt import refuse_unbuilt
from runner.errors import ProfileUnknown
from runner.messages import msg
from runner.model.problem import Problem
from runner.model.profile import Profile


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: every problem, sorted, and the profiles that have none.

    `unset` are the values with a variable that is not set, which is no problem before the value is needed.
    """

    problems: tuple[Problem, ...]
    profiles: tuple[Profile, ...]
    unset: tuple[Problem, ...]


def check(
    root: Root, selection: Sequence[str] = (), *, environ: Mapping[str, str], follow: Follow | None = None
) -> Checked:
    """Check the profiles that `selection` names, or all of them; where they name an application, `follow` asks it.

    A selection is a profile's name, or a file; a file that belongs to another project is checked in that one, and one
    that belongs to none is checked alone. A backup.yml stands for all profiles of its project. Raises
    `ProfileUnknown`, and `ConfigurationInvalid` for the backup.yml of another project.
    """
    problems: list[Problem] = []
    profiles: list[Profile] = []
    unset: list[Problem] = []
    told: dict[tuple[str, int, int], Problem] = {}  # one clash a place: what defaults say is said of every profile
    for project, files in _chosen(root, selection).items():
        if not files:
            problems.append(_no_profile(project))
        candidates = {file: project.candidate(file, environ) for file in dict.fromkeys((*project.files, *files))}
        followed = {
            file: _followed(candidate, follow if file in files else None) for file, candidate in candidates.items()
        }
        for file in files:
            candidate = followed[file]
            others = [each for other, each in followed.items() if other != file]
            own = [*project.misnamed(file), *settings_say_it(candidates[file]), *_own_problems(candidate)]
            shared = _clashes(candidate, others)
            problems += own
            for problem in shared:
                told.setdefault((problem.file, problem.line, problem.column), problem)
            if not (own or shared):
                profile, missing = build(candidate)
                profiles.append(profile)
                unset += missing
    return Checked(in_order([*problems, *told.values()]), tuple(profiles), in_order(unset))


def all_names(root: Root) -> tuple[str, ...]:
    """The names of the profiles, at least one. Raises `ConfigurationInvalid`: nothing to do is not all done."""
    if not root.names:
        raise invalid([_no_profile(root)])
    return root.names


def load(
    root: Root, name: str, *, environ: Mapping[str, str], need_variables: bool, follow: Follow | None = None
) -> Profile:
    """The profile of that name, checked.

    Raises `ProfileUnknown`, and `ConfigurationInvalid` with every problem; with `need_variables`, a variable that is
    not set is one. Raises what `follow` does.
    """
    if root.file_of(name) is None:
        raise _unknown(root, name)
    checked = check(root, [name], environ=environ, follow=follow)
    # Settings that could not be asked for want of a variable leave nothing to work with.
    is_unasked = any(profile.app is not None and profile.database is None for profile in checked.profiles)
    needs_variables = need_variables or (follow is not None and is_unasked)
    problems = checked.problems or (checked.unset if needs_variables else ())
    if problems:
        raise invalid(problems)
    return checked.profiles[0]


def _no_profile(root: Root) -> Problem:
    message = msg("there is no profile yet")
    hint = msg("write one into the folder that `profiles` names, for example `profiles/school.yml`")
    return root.document.problem(("profiles",), message, hint=hint)


def _unknown(root: Root, name: str) -> ProfileUnknown:
    """The error for a name that no profile has."""
    message = msg("there is no profile `{name}`", name=name)
    names = ", ".join(f"`{each}`" for each in root.names)
    if is_file_name(name):
        hint = msg("name the profile first, then the archive or file: {names}", names=names)
    elif near := closest(name, root.names):
        hint = msg("did you mean `{near}`? The profiles are {names}", near=near, names=names)
    elif names:
        hint = msg("the profiles are {names}", names=names)
    else:
        hint = msg("there is no profile yet")
    return ProfileUnknown(message, hint=hint)


def _chosen(root: Root, selection: Sequence[str]) -> dict[Root, list[Path]]:
    """The files to check, once each and in order, by the project they belong to."""
    if not selection:
        return {root: list(root.files)}
    chosen: dict[Root, list[Path]] = {}
    for name in selection:
        file = located(name, root.cwd) if is_file_name(name) else root.file_of(name)
        if file is None:
            raise _unknown(root, name)
        known = next((each for each in (root, *chosen) if file in each.files), None)
        if known is None and file.name == BACKUP_FILE:
            project = root if file == root.file else open_root(file, root.cwd)
            chosen[project] = list(project.files)
            continue
        files = chosen.setdefault(known or root_of(file, root.cwd), [])
        if file not in files:
            files.append(file)
    return {project: sorted(files) for project, files in chosen.items()}


def _followed(candidate: Candidate, follow: Follow | None) -> Candidate:
    """The candidate with what its application's settings say; they are not asked by a profile that is wrong."""
    if not candidate.profile.has(*DJANGO):
        return candidate
    alone = unasked(candidate)
    if follow is None or any(settings_say_it(candidate)) or _own_problems(alone):
        return alone
    profile, unset = build(alone)
    return alone if unset or profile.app is None else with_settings(candidate, follow(profile.app))


def _own_problems(candidate: Candidate) -> list[Problem]:
    document = candidate.document
    problems = list(document.problems)
    if document.data is None:
        return problems
    problems += check_schema(document, "profile")
    if isinstance(document.data, dict) and not document.in_hole(ROOT):
        for rule in (*RULES, refuse_unbuilt):
            problems += rule(candidate)
    return problems


def _clashes(candidate: Candidate, others: Iterable[Candidate]) -> list[Problem]:
    return [
        problem
        for other in others
        if other.name.casefold() != candidate.name.casefold()  # two files of one name are a problem of their own
        for problem in clashes(candidate, other)
    ]
