"""`runner validate` and `runner schema`: problems as people, programs and a workflow's log get them; help texts."""

import json
from pathlib import Path

import click
import pytest

from runner.cli.main import cli
from tests.projects import Project
from tests.unit.test_imports import HEAVY, modules_after

NARROW = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "COLUMNS": "40"}


def write(project: Project, name: str, text: str) -> Path:
    file = project.folder / name
    file.write_text(text, "utf-8")
    return file


def broken(project: Project) -> None:
    profile = project.folder / "profiles" / "app.yml"
    write(project, "profiles/app.yml", profile.read_text("utf-8").replace("type: local, path", "type: local, pth"))
    write(project, "profiles/other.yml", "version: 1\nretension: {}\nmedia: {root: pictures}\n")


def test_every_problem_of_every_profile_in_order_and_unwrapped(project: Project) -> None:
    broken(project)
    done = project.run("validate", environment=NARROW)
    assert (done.returncode, done.stderr) == (10, "")
    places = [line.split("  ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert places == sorted(places, key=lambda place: (place.split(":")[0], *map(int, place.split(":")[1:])))
    assert {place.split(":")[0] for place in places} == {"profiles/app.yml", "profiles/other.yml"}
    assert "profiles/other.yml:2:1  retension: unknown key\n  hint: did you mean `retention`?\n" in done.stdout
    document = json.loads(project.run("validate", "--format", "json").stdout)
    assert [f"{each['file']}:{each['line']}:{each['column']}" for each in document["problems"]] == places
    assert [each["where"].split("  ")[0] for each in document["errors"]] == places
    assert (document["valid"], document["status"]) == ([], "error")


def test_only_what_was_named_is_checked(project: Project) -> None:
    broken(project)
    assert "app.yml" not in project.run("validate", "other").stdout
    assert "other.yml" not in project.run("validate", "profiles/app.yml").stdout
    assert project.run("validate", "otter").returncode == 2


def test_a_variable_that_is_not_set_is_no_problem(project: Project) -> None:
    write(
        project,
        "profiles/app.yml",
        "version: 1\nmedia: {root: '${UNSET}'}\ndestinations: [{type: local, path: '${UNSET_TOO}'}]\n",
    )
    done = project.run("validate")
    assert (done.returncode, done.stdout) == (0, "app: valid\n")


@pytest.mark.parametrize("output_format", ["json", "github", "text"])
def test_a_wrong_backup_yml_is_told_with_its_place(project: Project, output_format: str) -> None:
    write(project, "backup.yml", "version: 1\nprofils: x\n")
    done = project.run("validate", "--format", output_format)
    assert done.returncode == 10
    if output_format == "github":
        message = "profils: unknown key%0Ahint: did you mean `profiles`?"
        assert done.stdout == f"::error file=backup.yml,line=2,col=1::{message}\n"
    elif output_format == "text":
        assert done.stdout == "backup.yml:2:1  profils: unknown key\n  hint: did you mean `profiles`?\n"
    else:
        (problem,) = json.loads(done.stdout)["problems"]
        assert (problem["file"], problem["line"], problem["column"], problem["key"]) == ("backup.yml", 2, 1, "profils")


def test_an_annotation_is_one_line_whatever_the_file_is_called(project: Project) -> None:
    write(project, "a,b 100%.yml", "version: 1\nretension: {}\n")
    done = project.run("validate", "a,b 100%.yml", "--format", "github")
    assert done.returncode == 10
    assert done.stdout
    for line in done.stdout.splitlines():
        assert line.startswith("::error file=a%2Cb 100%25.yml,line=")
        assert line.count("::") == 2


def test_neither_a_key_nor_a_file_name_can_move_the_cursor(project: Project) -> None:
    write(project, "profiles/app.yml", 'version: 1\n"a\\u001b[2J\\nb\\u65e5": 1\n')
    write(project, "profiles/b\u202e\u65e5.yml", "version: 1\n")
    done = project.run("validate", environment=NARROW)
    assert done.returncode == 10
    assert "profiles/b\\u202e\\u65e5.yml:1:1" in done.stdout
    for console in (done.stdout, project.run("validate", environment={"PYTHONIOENCODING": "utf-8"}).stdout):
        assert all(character.isprintable() for line in console.split("\n") for character in line)
    problems = json.loads(project.run("validate", "--format", "json").stdout)["problems"]
    assert "profiles/b\u202e\u65e5.yml" in {problem["file"] for problem in problems}


def test_a_schema_survives_any_console(project: Project) -> None:
    """That of the manifest, whose file is not all ASCII. Alone as text, in the common object as JSON."""
    shipped = Path(__file__).parents[2] / "schema" / "manifest.schema.json"
    schema = json.loads(shipped.read_text("utf-8"))
    assert not shipped.read_text("utf-8").isascii()
    text = project.run("schema", "manifest", environment={"PYTHONIOENCODING": "ascii"}).stdout
    assert text.isascii()
    assert json.loads(text) == schema
    document = json.loads(project.run("schema", "manifest", "--format", "json").stdout)
    assert document == {
        "format_version": 1,
        "status": "ok",
        "exit_code": 0,
        "errors": [],
        "warnings": [],
        "schema": schema,
    }


@pytest.mark.parametrize("command", ["schema", "list", "show", "verify"])
def test_help_is_quick(command: str) -> None:
    assert modules_after(command, "--help").isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["validate", "schema", "list", "show", "verify"])
def test_help_has_examples_and_exit_codes(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = command.get_help(click.Context(command, info_name=f"runner {name}", terminal_width=40))
    assert f"runner {name}" in text
    assert "Examples:" in text
    assert "Exit codes:" in text


@pytest.mark.parametrize("arguments", [(), ("apply",), ("show",)], ids=" ".join)
def test_help_fits_a_narrow_console(project: Project, arguments: tuple[str, ...]) -> None:
    """All but the examples, which are commands to copy."""
    text = project.run(*arguments, "--help", environment=NARROW).stdout
    before, _, after = text.partition("Examples:")
    paragraphs = [*before.splitlines(), *after.partition("\n\n")[2].splitlines()]
    assert len(paragraphs) > 20
    assert [line for line in paragraphs if len(line) > 40] == []
