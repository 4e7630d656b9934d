"""What is imported, and when: `runner --help` stays quick, nothing undeclared is used, and no module is long."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from runner.cli.main import COMMANDS
from tests.projects import sqlite_project

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "runner"

# Each costs more than the rest of `--help` together, or pulls in something that does.
HEAVY = (
    "asyncio",
    "isal",
    "jsonschema",
    "msgspec",
    "psycopg",
    "rich",
    "sqlite3",
    "ssl",
    "yaml",
)

# What a command that only looks has no need of. A profile is held against its schema, so `list` loads jsonschema.
EXTRAS = ("apprise", "django")

FOR_WORK = ("asyncio", "multiprocessing", "psycopg", "rich", "sqlite3", "ssl")

LOADED_AFTER = """\
import json, sys
from runner.cli.main import main
sys.argv = ["runner", *{arguments!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(*arguments: str, folder: Path = CHECKOUT) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED_AFTER.format(arguments=list(arguments))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(loaded)


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert modules_after(*arguments, "--help").isdisjoint(HEAVY)


def test_a_command_that_looks_loads_nothing_for_work(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=40)
    assert project.run("apply", "app").returncode == 0
    (archive,) = project.archives()
    name = str(archive)
    assert modules_after("list", "app", folder=project.folder).isdisjoint(FOR_WORK)
    for command in ("show", "verify"):
        assert modules_after(command, "app", folder=project.folder).isdisjoint(FOR_WORK)
        # A bare file is held against no schema.
        assert modules_after(command, name, folder=project.folder).isdisjoint({*FOR_WORK, "jsonschema"})


def test_every_import_is_declared() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    declared = {normalised(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in lines}
    providers = metadata.packages_distributions()
    undeclared = {
        f"{path.relative_to(CHECKOUT).as_posix()}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in imported_names(path)
        if name != "runner" and name not in sys.stdlib_module_names
        if path.name != "django_probe.py"  # runs where Django is, and not where runner is
        if declared.isdisjoint(normalised(provider) for provider in providers.get(name, ()))
    }
    assert undeclared == set()


@pytest.mark.parametrize("folder", ["runner", "tests", "docs", "benchmarks"])
def test_no_module_is_long(folder: str) -> None:
    lengths = {path: len(path.read_bytes().splitlines()) for path in (CHECKOUT / folder).rglob("*.py")}
    assert lengths
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}


def imported_names(path: Path) -> Iterator[str]:
    """The top-level names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def normalised(distribution: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
