"""`runner list`, `show` and `verify`: which archive is meant, and what is told of it to people and to programs."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from runner.cli.text import size_text
from runner.model.manifest import (
    DjangoRecord,
    LargeObjectsRecord,
    MigrationRecord,
    PostgresqlRecord,
    PropertiesRecord,
    TableRecord,
)
from runner.state import ProfileState
from tests.projects import COMMAND, Project, sqlite_project
from tests.unit.workflow.small_archives import write_archive


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one archive, which tests look at and do not change."""
    project = sqlite_project(tmp_path_factory.mktemp("kept") / "project", rows=400)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("root: media", "root: media, exclude: ['*.tmp', 'cache/**']"), "utf-8"
    )
    (project.media / "matching").mkdir()
    (project.media / "matching" / "a.pdf").write_bytes(b"x" * 10)
    (project.media / "top.pdf").write_bytes(b"x" * 3)
    project.apply()
    return project


@pytest.fixture
def copied(kept: Project, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    folder = tmp_path / "project"
    shutil.copytree(kept.folder, folder)
    profile = folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(kept.out.as_posix(), (folder / "out").as_posix()), "utf-8")
    (folder / ".runner" / "app" / "verified.jsonl").unlink()
    return Project(folder, folder / "out")


def json_of(project: Project, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(project.run(*arguments, "--format", "json").stdout)
    return document


def verified(project: Project) -> list[str]:
    """The archives that the state folder knows to be whole."""
    return [
        record.archive_name for record in ProfileState(project.folder / ".runner", "app").verified() if record.intact
    ]


def hit_every_receipt(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    for number in range(10, 410, 10):
        content[content.index(b"%05d.pdf" % number) + 60] ^= 1
    archive.write_bytes(content)


def test_the_summary_says_all_that_matters(kept: Project) -> None:
    text = kept.run("show", "app").stdout
    manifest = json_of(kept, "show", "app")["manifest"]
    for words in (
        f"id {manifest['archive_id']}",
        f"on {manifest['host']} (instance app)",
        "full backup of app, made 20",
        "1 table, 400 rows",
        f"{size_text(manifest['database']['size'])} in the database, dumped as {manifest['database']['dump']}\n",
        "42 files in 3 folders",
        "left out by the profile: files that match *.tmp, cache/**",
        "40 checked, 0 missing",
    ):
        assert words in text
    assert "members" not in manifest


def test_the_summary_of_a_postgresql_archive(kept: Project, tmp_path: Path) -> None:
    migrations = [("finance", "0001_initial"), ("finance", "0002_receipt"), ("auth", "0001_initial")]
    database = PostgresqlRecord(
        name="school_db",
        host=None,
        port=None,
        format="directory",
        server_version="15.18",
        client_version="16.4",
        encoding="UTF8",
        collation="C",
        ctype="C",
        locale_provider="libc",
        extensions=(),
        properties=PropertiesRecord(owner="school"),
        roles=(),
        large_objects=LargeObjectsRecord(count=0, size=0),
        size=3 << 20,
        dump="db_postgres_20260108_110353",
        tables=(
            *(TableRecord(name=f"public.t{number}", rows=number) for number in range(1, 12)),
            TableRecord(name="public.django_session", rows=None),
        ),
        sequences=(),
        exclude_table_data=("django_session",),
        django=DjangoRecord(migrations=tuple(MigrationRecord(app=app, name=name) for app, name in migrations)),
    )
    path = write_archive(tmp_path / "a.zip", database=database)
    text = kept.run("show", str(path)).stdout
    for words in (
        "PostgreSQL 15.18, 12 tables, 66 rows",
        "3.0 MiB in the database, dumped as db_postgres_20260108_110353 by pg_dump 16.4\n",
        "left out by the profile: data of django_session",
        "Django migrations: auth 1, finance 2",
    ):
        assert words in text
    assert text.count("public.t") == 10
    document = json_of(kept, "show", str(path))
    assert len(document["manifest"]["database"]["tables"]) == 12


def test_files_are_counted_by_top_folder_whatever_they_are_called(kept: Project) -> None:
    document = json_of(kept, "show", "app", "--match", "*.pdf")
    assert list(document["folders"]) == [".", "matching", "reçus"]
    assert document["folders"]["matching"] == {"files": 1, "bytes": 10}
    assert document["matching"] == {
        "pattern": "*.pdf",
        "files": 42,
        "bytes": 13 + sum(file.stat().st_size for file in (kept.media / "reçus").iterdir()),
    }
    below = json_of(kept, "show", "app", "--match", "matching/**")
    assert (list(below["folders"]), [file["path"] for file in below["files"]]) == (["matching"], ["matching/a.pdf"])
    nothing = json_of(kept, "show", "app", "--match", "*.doc")
    assert (nothing["folders"], nothing["files"], nothing["matching"]["files"]) == ({}, [], 0)


def test_the_text_lists_the_files_that_the_json_lists(kept: Project) -> None:
    document = json_of(kept, "show", "app", "--files")
    lines = kept.run("show", "app", "--files").stdout.splitlines()[-len(document["files"]) :]
    assert [line.split("  ")[-1].rstrip("/") for line in lines] == [file["path"] for file in document["files"]]
    assert len(document["files"]) == 44


def test_a_reader_who_has_seen_enough_is_no_bug(kept: Project) -> None:
    with subprocess.Popen(
        [*COMMAND, "show", "app", "--files"], cwd=kept.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_name_wins_over_a_file_of_that_name(copied: Project) -> None:
    for name in ("latest", "app"):
        (copied.folder / name).write_bytes(b"no archive")
    assert json_of(copied, "show", "app", "latest")["archive"] == copied.archives()[0].name
    assert json_of(copied, "show", "./app")["exit_code"] == 13


def test_a_file_is_an_archive_without_any_profile(copied: Project, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "a.bak"
    alone.parent.mkdir()
    copied.archives()[0].rename(alone)
    outside = Project(alone.parent, alone.parent)
    assert json_of(outside, "verify", "a.bak")["intact"] is True
    assert json_of(outside, "show", "missing.zip")["errors"][0]["code"] == "usage.archive"
    assert json_of(outside, "verify", "a.bak", "other.zip")["exit_code"] == 2
    assert json_of(copied, "show", "app", str(alone))["archive"] == "a.bak"


@pytest.mark.parametrize("how", ["latest", "name", "path", "from its folder"])
def test_a_verification_is_noted_however_the_archive_was_named(copied: Project, how: str) -> None:
    assert verified(copied) == []
    (archive,) = copied.archives()
    wanted = {"latest": "latest", "path": f"out/{archive.name}"}.get(how, archive.name)
    project = Project(copied.out, copied.out) if how == "from its folder" else copied
    done = project.run("verify", "app", wanted)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    with zipfile.ZipFile(archive) as opened:
        assert f"{len(opened.namelist())} members" in done.stdout
    assert verified(copied) == [archive.name]


def test_a_bare_file_is_not_noted(copied: Project) -> None:
    assert json_of(copied, "verify", str(copied.archives()[0]))["exit_code"] == 0
    assert verified(copied) == []


def test_damage_is_counted_in_text_and_listed_in_json(copied: Project) -> None:
    hit_every_receipt(copied.archives()[0])
    done = copied.run("verify", "app")
    assert (done.returncode, done.stdout) == (13, "")
    assert done.stderr.count("error:") == 21
    assert "places that differ: 40" in done.stderr
    assert "and 20 more; `--format json` lists all of them" in done.stderr
    assert len(json_of(copied, "verify", "app")["errors"]) == 41


def test_an_archive_without_an_end_is_told_with_the_same_keys(copied: Project) -> None:
    (archive,) = copied.archives()
    whole = json_of(copied, "verify", "app")
    archive.write_bytes(archive.read_bytes()[:-1])
    cut = json_of(copied, "verify", "app")
    assert cut["exit_code"] == 13
    assert set(cut) == set(whole)
    assert (cut["archive"], cut["location"], cut["intact"]) == (archive.name, str(archive), False)
    assert "runner list" in cut["errors"][0]["hint"]
    assert cut["errors"][0]["where"] == str(archive)


def test_a_destination_out_of_reach_hides_neither_itself_nor_the_others(copied: Project) -> None:
    profile = copied.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace("destinations: [", "destinations: [{type: local, path: unplugged}, ")
    profile.write_text(text, "utf-8")
    listed = json_of(copied, "list", "app")
    assert (listed["exit_code"], len(listed["archives"])) == (12, 1)
    done = copied.run("list", "app")
    assert str(copied.out) in done.stdout
    assert "unplugged" in done.stderr
    shown = json_of(copied, "show", "app")
    assert (shown["exit_code"], len(shown["warnings"])) == (3, 1)
    copied.out.rename(copied.folder / "gone")
    nowhere = copied.run("list", "app")
    assert (nowhere.returncode, nowhere.stdout) == (12, "")
    assert nowhere.stderr.count("error:") == 2


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_file_that_cannot_be_read_is_no_bug(kept: Project) -> None:
    assert json_of(kept, "verify", "/proc/self/mem")["errors"][0]["code"] == "destination"
    assert json_of(kept, "verify", "/dev/null")["exit_code"] == 2
    assert json_of(kept, "show", "app", "x" * 5000)["exit_code"] == 2


@pytest.mark.parametrize("arguments", [["list", "app"], ["show", "app", "--match", "*.pdf"], ["verify", "app"]])
def test_a_name_cannot_move_the_cursor(copied: Project, arguments: list[str]) -> None:
    """Nor a name with characters that a narrow console in cp1252 does not have."""
    archive = copied.archives()[0]
    archive.rename(archive.with_name("\u65e5\u202e\u2192.zip"))
    done = copied.run(*arguments, environment={"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "COLUMNS": "40"})
    assert done.returncode == 0, done.stderr
    assert "\\u65e5\\u202e\\u2192.zip" in done.stdout


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_pattern_means_the_newest_that_matches(kept: Project, command: str) -> None:
    newest = json_of(kept, "list", "app")["archives"][0]["name"]
    done = kept.run(command, "app", "app_backup_*")
    assert (done.returncode, newest in done.stdout) == (0, True)
    none = kept.run(command, "app", "nothing_*")
    assert none.returncode == 2
    assert "no archive of `app` matches `nothing_*`" in none.stderr
