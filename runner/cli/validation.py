"""The work of `runner validate`. The problems are its result, so they go to stdout."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner import config
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import printable
from runner.errors import ConfigurationInvalid, ExitCode, Finding
from runner.messages import msg
from runner.model.problem import Problem

_PLACE = re.compile(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+)(  (?P<key>.*))?", re.DOTALL)


def validation_outcome(settings: Settings, selection: tuple[str, ...], output_format: str) -> Outcome:
    """Every problem of the selected profiles and of backup.yml. Raises ProfileUnknown."""
    problems, valid = _checked(settings, selection)
    data = {"problems": [_data(problem) for problem in problems], "valid": list(valid)}
    code = ExitCode.CONFIGURATION if problems else ExitCode.DONE
    if output_format == "json":
        return Outcome(data, errors=tuple(problem.as_finding() for problem in problems), exit_code=code)
    if output_format == "github":
        return Outcome(data, tuple(map(_annotation, problems)), exit_code=code)
    lines = [line for problem in problems for line in _problem_lines(problem)]
    lines += [msg("{profile}: valid", profile=name).localized() for name in valid]
    return Outcome(data, tuple(lines), exit_code=code)


def _checked(settings: Settings, selection: tuple[str, ...]) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """The problems, and the names of the profiles that have none; with a wrong backup.yml, its problems alone."""
    try:
        root = config.find_root(settings.config, Path.cwd(), selection)
        checked = config.check(root, selection, environ=os.environ)
    except ConfigurationInvalid as error:
        return tuple(map(_problem_of, error.findings)), ()
    return checked.problems, tuple(profile.name for profile in checked.profiles)


def _problem_of(finding: Finding) -> Problem:
    """The problem that a finding was made of (`Problem.as_finding`)."""
    place = _PLACE.fullmatch(finding.where or "")
    if place is None:
        return Problem(finding.where or "backup.yml", 1, 1, "", finding.message, finding.hint, finding.code)
    line, column = int(place["line"]), int(place["column"])
    return Problem(place["file"], line, column, place["key"] or "", finding.message, finding.hint, finding.code)


def _problem_lines(problem: Problem) -> Iterator[str]:
    """`FILE:LINE:COLUMN  KEY: MESSAGE` and a hint; never wrapped, so that editors find the place."""
    message = problem.message.localized()
    text = f"{problem.key}: {message}" if problem.key else message
    yield printable(f"{problem.file}:{problem.line}:{problem.column}  {text}")
    if problem.hint is not None:
        yield printable(msg("  hint: {hint}", hint=problem.hint).localized())


def _annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions ("Setting an error message")."""
    text = f"{problem.key}: {problem.message}" if problem.key else str(problem.message)
    if problem.hint is not None:
        text += f"\nhint: {problem.hint}"
    place = f"file={_property(problem.file)},line={problem.line},col={problem.column}"
    return f"::error {place}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _data(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "message": str(problem.message),
        "hint": None if problem.hint is None else str(problem.hint),
    }
