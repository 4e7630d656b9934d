"""Which client programs serve which server."""

import os
from pathlib import Path

import pytest

from runner.databases.postgresql.tools import find_tools
from runner.errors import ExitCode, Refused, ToolMissing, exit_code_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")


def install(folder: Path, says: str, *, code: int = 0, programs: tuple[str, ...] = ("pg_dump", "pg_restore")) -> Path:
    """Programs that say this when they are asked for their version."""
    folder.mkdir()
    for program in programs:
        (folder / program).write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n", "utf-8")
        (folder / program).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "major", "version"),
    [
        ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, "15.18"),
        ("pg_dump (PostgreSQL) 18.1", 18, "18.1"),
        ("pg_dump (PostgreSQL) 17beta1", 17, "17"),
        ("pg_dump (PostgreSQL) 18devel", 18, "18"),
    ],
)
def test_versions_as_programs_say_them(tmp_path: Path, says: str, major: int, version: str) -> None:
    folder = install(tmp_path / "bin", says)
    found = find_tools(15, folder)
    assert (found.major, found.version, found.bin) == (major, version, folder)
    assert found.path("pg_dump") == str(folder / "pg_dump")


def test_an_older_client_is_refused_and_the_needed_one_is_named(tmp_path: Path) -> None:
    folder = install(tmp_path / "bin", "pg_dump (PostgreSQL) 15.4")
    with pytest.raises(Refused, match=r"15\.4 cannot dump a PostgreSQL 16 server") as caught:
        find_tools(16, folder)
    assert exit_code_of(caught.value) is ExitCode.REFUSED
    assert "PostgreSQL 16" in str(caught.value.hint)


@pytest.mark.parametrize("case", ["empty", "no restore", "broken", "other", "nothing"])
def test_a_folder_without_usable_programs_is_an_error(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "bin"
    match case:
        case "empty":
            folder.mkdir()
        case "no restore":
            install(folder, "pg_dump (PostgreSQL) 15.4", programs=("pg_dump",))
        case "broken":
            install(folder, "cannot load libpq", code=127)
        case "other":
            install(folder, "something else 1.0")
        case _:
            pass
    with pytest.raises(ToolMissing) as caught:
        find_tools(15, folder)
    assert exit_code_of(caught.value) is ExitCode.STEP
    assert "PostgreSQL 15" in str(caught.value.hint)


def test_on_the_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among what is installed here anyway, the oldest that is new enough wins."""
    folder = install(tmp_path / "bin", "pg_dump (PostgreSQL) 99.1")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert find_tools(99, None).bin == folder
