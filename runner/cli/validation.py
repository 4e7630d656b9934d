"""The work of `runner validate`. The problems are its result, so they go to stdout."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner import config
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.errors import ConfigurationInvalid, ExitCode, Finding
from runner.model.problem import Problem


def validation_outcome(settings: Settings, selection: tuple[str, ...], output_format: str) -> Outcome:
    """Every problem of the selected profiles and of backup.yml. Raises ProfileUnknown."""
    try:
        root = config.find_root(settings.config, Path.cwd(), selection)
        checked = config.check(root, selection, environ=os.environ)
    except ConfigurationInvalid as error:
        if output_format == "json":
            raise
        lines = [line for finding in error.findings for line in finding_lines(finding)]
        return Outcome(lines=tuple(lines), exit_code=ExitCode.CONFIGURATION)
    names = tuple(profile.name for profile in checked.profiles)
    data = {"problems": [_data(problem) for problem in checked.problems], "valid": list(names)}
    code = ExitCode.CONFIGURATION if checked.problems else ExitCode.DONE
    if output_format == "json":
        return Outcome(data, errors=tuple(problem.as_finding() for problem in checked.problems), exit_code=code)
    if output_format == "github":
        return Outcome(data, tuple(map(_annotation, checked.problems)), exit_code=code)
    lines = [line for problem in checked.problems for line in finding_lines(problem.as_finding())]
    return Outcome(data, (*lines, *(f"{name}: valid" for name in names)), exit_code=code)


def finding_lines(finding: Finding) -> Iterator[str]:
    """`FILE:LINE:COLUMN  KEY: MESSAGE` and a hint; never wrapped, so that editors find the place."""
    where = finding.where or ""
    yield f"{where}{': ' if '  ' in where else '  '}{finding.message}"
    if finding.hint is not None:
        yield f"  hint: {finding.hint}"


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
