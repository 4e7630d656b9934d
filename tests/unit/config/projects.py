"""Small projects on disk, and problems as the text a person reads."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.config import Checked, check, find_root
from runner.model.problem import Problem

SQLITE = "database: {engine: sqlite, path: db.sqlite3}\n"
DESTINATION = "destinations: [{type: local, path: backups}]\n"
VALID = f"version: 1\n{SQLITE}{DESTINATION}"


def render(problems: Iterable[Problem]) -> str:
    """One line a problem, and one for its hint."""
    lines: list[str] = []
    for problem in problems:
        key = f"{problem.key}: " if problem.key else ""
        lines.append(f"{problem.file}:{problem.line}:{problem.column}  {key}{problem.message}\n")
        if problem.hint is not None:
            lines.append(f"  hint: {problem.hint}\n")
    return "".join(lines)


def project(folder: Path, backup: str = "version: 1\n", **profiles: str) -> Path:
    """Write a project into `folder`."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "backup.yml").write_text(backup, encoding="utf-8", newline="\n")
    for name, text in profiles.items():
        (folder / "profiles" / f"{name}.yml").write_text(text, encoding="utf-8", newline="\n")
    return folder


def checked(folder: Path, *selection: str, environ: Mapping[str, str] | None = None) -> Checked:
    """Check a project as a command that was started in `folder` does."""
    return check(find_root(None, folder, selection), selection, environ=environ or {})


def complaints(folder: Path, *selection: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The problems of a project: file, position and key, one text each."""
    problems = checked(folder, *selection, environ=environ).problems
    return [f"{each.file}:{each.line}:{each.column}  {each.key}: {each.message}" for each in problems]
