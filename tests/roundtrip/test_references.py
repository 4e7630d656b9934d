"""The database and the files are one thing: what the one names and the other has not is found and told."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runner.archive.writer import ArchiveWriter
from runner.databases.base import Capture, DumpPart, StillWanted, always_wanted
from runner.databases.sqlite import open_capture
from runner.durable import create_private
from runner.errors import FileLost, Finding, ReferencesMissing
from runner.lanes import Lanes
from runner.model.manifest import DatabaseRecord
from runner.model.profile import Compression, MediaConfig, Reference, SqliteConfig
from runner.workflow.media import MediaCopy
from runner.workflow.references import ReferenceCheck
from tests.projects import Project, damage_of, make_project, manifest_of, postgresql_project
from tests.servers.postgresql import Cluster

RECEIPT = Reference("payment", "receipt")


def execute(database: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(statement, values)


def add(database: Path, *values: str) -> None:
    for value in values:
        execute(database, "INSERT INTO payment VALUES (?)", value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One file, `reçus/1.pdf`, and an empty table `payment` whose column `receipt` names files."""
    made = make_project(
        tmp_path / "project",
        "engine: sqlite, path: app.sqlite3",
        media=", url: /media/, exclude: ['cache/**'], references: [{table: payment, column: receipt}]",
    )
    execute(made.folder / "app.sqlite3", "CREATE TABLE payment (receipt TEXT)")
    for name in ("reçus/1.pdf", "cache/thumb.jpg"):
        (made.media / name).parent.mkdir()
        (made.media / name).write_bytes(b"content")
    return made


def database(project: Project) -> Path:
    return project.folder / "app.sqlite3"


def result(project: Project, *arguments: str) -> dict[str, Any]:
    done = project.run("apply", "app", "--format", "json", *arguments)
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == document["exit_code"]
    return document


def edit(project: Project, old: str, new: str) -> None:
    profile = project.folder / "profiles" / "app.yml"
    assert old in profile.read_text("utf-8")
    profile.write_text(profile.read_text("utf-8").replace(old, new), "utf-8")


def test_every_form_of_a_path_is_found(project: Project) -> None:
    forms = [
        "reçus/1.pdf",
        "./reçus/1.pdf",
        "reçus\\1.pdf",
        "re%C3%A7us/1.pdf",
        "/media/reçus/1.pdf",
        "media/reçus/1.pdf",
    ]
    add(database(project), *forms, "", "reçus/../reçus/1.pdf")
    execute(database(project), "INSERT INTO payment VALUES (NULL)")
    archive = project.apply()
    assert damage_of(archive) == []
    references = manifest_of(archive).references
    assert references is not None
    assert (references.columns, references.checked, references.missing) == (("payment.receipt",), len(forms) + 1, ())


def test_missing_files_are_named_all_of_them_in_json_and_twenty_in_text(project: Project) -> None:
    missing = [f"reçus/missing-{number:02d}.pdf" for number in range(45)]
    add(database(project), "reçus/1.pdf", *missing)
    document = result(project)
    assert document["exit_code"] == 13
    told = [error["message"] for error in document["errors"] if error["code"] == "integrity.references"]
    assert told == ["45 of 46 files that the database names would not be in the archive"]
    named = [error for error in document["errors"] if error["code"] == "reference.missing"]
    assert {error["message"] for error in named} == {f"`{name}` is not there" for name in missing}
    assert {error["where"] for error in named} == {"payment.receipt"}
    text = project.run("apply", "app")
    assert text.returncode == 13
    assert text.stderr.count("is not there") == 20
    assert "hint:" in text.stderr
    assert (project.archives(), project.leftovers()) == ([], [])


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("../app.sqlite3", "reference.outside", "leads out of the media root"),
        ("/etc/passwd", "reference.outside", "leads out of the media root"),
        ("C:\\Users\\x.pdf", "reference.outside", "leads out of the media root"),
        ("https://elsewhere.example/x.pdf", "reference.outside", "leads out of the media root"),
        ("cache/thumb.jpg", "reference.excluded", "is left out by `cache/**`"),
        ("reçus", "reference.missing", "is not there"),
        ("reçus/2.pdf", "reference.missing", "is not there"),
        ("nul\0byte.pdf", "reference.missing", "is not there"),
    ],
)
def test_what_would_not_be_in_the_archive_is_an_error_of_its_kind(
    project: Project, value: str, code: str, words: str
) -> None:
    add(database(project), "reçus/1.pdf", value)
    document = result(project)
    assert document["exit_code"] == 13
    assert [error["code"] for error in document["errors"]] == ["integrity.references", code]
    assert words in document["errors"][1]["message"]
    assert project.archives() == []


def test_a_missing_file_can_be_a_warning(project: Project) -> None:
    edit(project, "root: media", "root: media, on_missing_reference: warn")
    add(database(project), "reçus/1.pdf", "reçus/2.pdf", "../x", "cache/thumb.jpg")
    document = result(project)
    assert document["exit_code"] == 3
    assert {warning["code"] for warning in document["warnings"]} == {
        *("reference.missing", "reference.outside", "reference.excluded")
    }
    (archive,) = project.archives()
    assert damage_of(archive) == []
    manifest = manifest_of(archive)
    assert manifest.references is not None
    assert manifest.references.missing == ("../x", "cache/thumb.jpg", "reçus/2.pdf")
    assert {warning.code for warning in manifest.warnings} == {warning["code"] for warning in document["warnings"]}


@pytest.mark.parametrize("variant", ["db-only", "media-only"])
def test_half_a_backup_records_them_as_unchecked(project: Project, variant: str) -> None:
    add(database(project), "reçus/missing.pdf")
    document = result(project, "--variant", variant)
    assert document["exit_code"] == 0
    references = manifest_of(project.archives()[0]).references
    assert references is not None
    assert (references.columns, references.checked, references.missing) == (("payment.receipt",), None, ())


@pytest.mark.parametrize(("old", "new"), [("table: payment", "table: bills"), ("column: receipt", "column: scan")])
def test_a_column_that_is_not_there_is_an_error(project: Project, old: str, new: str) -> None:
    edit(project, old, new)
    document = result(project)
    assert document["exit_code"] == 14
    assert new.split()[1] in document["errors"][0]["message"]
    assert document["errors"][0]["hint"]
    assert project.archives() == []


def test_a_file_through_a_link_is_in_the_archive(project: Project) -> None:
    if os.name == "nt":
        pytest.skip("links need a privilege on Windows")
    (project.media / "receipts").symlink_to("reçus")
    (project.media / "newest.pdf").symlink_to("reçus/1.pdf")
    add(database(project), "receipts/1.pdf", "newest.pdf")
    assert result(project)["exit_code"] == 0


def test_a_name_that_is_no_text_is_compared_byte_for_byte(project: Project) -> None:
    if os.name == "nt":
        pytest.skip("names on Windows are Unicode")
    (project.media / os.fsdecode(b"caf\xe9.pdf")).write_bytes(b"x")
    execute(database(project), "INSERT INTO payment VALUES (CAST(x'636166e92e706466' AS TEXT))")
    assert result(project)["exit_code"] == 0
    execute(database(project), "INSERT INTO payment VALUES (CAST(x'6e6fe92e706466' AS TEXT))")
    document = result(project)
    assert document["exit_code"] == 13
    assert document["errors"][1]["message"] == "`no\\udce9.pdf` is not there"


def test_postgresql_columns_are_checked_too(cluster: Cluster, pagila: str, tmp_path: Path) -> None:
    project = postgresql_project(tmp_path / "project", cluster, pagila)
    edit(project, "root: media", "root: media, references: [{table: film, column: title}]")
    document = result(project)
    assert document["exit_code"] == 13
    assert "1000 of 1000" in document["errors"][0]["message"]
    assert len(document["errors"]) == 1001
    edit(project, "column: title", "column: tilte")
    assert result(project)["exit_code"] == 14
    edit(project, "{table: film, column: tilte}", "{table: public.rental_poster, column: file}")
    cluster.sql(pagila, "CREATE TABLE rental_poster (file text)")
    cluster.sql(
        pagila, "INSERT INTO rental_poster VALUES ('affiches/film n° 3.txt'), ('affiches/film n° 3.txt'), (NULL)"
    )
    assert result(project)["exit_code"] == 0
    references = manifest_of(project.archives()[0]).references
    assert references is not None
    assert (references.columns, references.checked) == (("public.rental_poster.file",), 1)


class Interleaved:
    """A real capture that lets the application act just before the second look at the live database."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.meanwhile: Any = lambda: None
        self.looks = 0

    def __enter__(self) -> "Interleaved":
        self._capture.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._capture.__exit__(*error)

    def referenced(self, reference: Reference) -> Iterator[str]:
        return self._capture.referenced(reference)

    def still_referenced(self, reference: Reference, values: Collection[str]) -> frozenset[str]:
        self.looks += 1
        self.meanwhile()
        return self._capture.still_referenced(reference, values)

    def parts(self, *, gzip: bool, jobs: int = 1, still_wanted: StillWanted = always_wanted) -> Iterator[DumpPart]:
        return self._capture.parts(gzip=gzip, jobs=jobs, still_wanted=still_wanted)

    def record(self) -> DatabaseRecord:
        return self._capture.record()

    def findings(self) -> tuple[Finding, ...]:
        return self._capture.findings()


@pytest.fixture
def held(project: Project, tmp_path: Path) -> Iterator[Interleaved]:
    """The instant at which the database names `reçus/1.pdf` and `reçus/2.pdf`, held open; both files are there."""
    add(database(project), "reçus/1.pdf", "reçus/2.pdf")
    (project.media / "reçus" / "2.pdf").write_bytes(b"two")
    (tmp_path / "work").mkdir()
    with Interleaved(open_capture(SqliteConfig(database(project)), tmp_path / "work", "20260108_110353")) as capture:
        yield capture


def media(project: Project) -> MediaConfig:
    return MediaConfig(project.media, references=(RECEIPT,))


def copied(
    project: Project, check: ReferenceCheck, folder: Path, *, after: Callable[[], object] = lambda: None
) -> MediaCopy:
    """The media stage of a backup, over a check that has had its first look; `after` acts after the first file."""
    files = iter([after])
    created_at = datetime.now().astimezone()
    with (
        create_private(folder / "archive.zip") as file,
        Lanes(1) as lanes,
        ArchiveWriter(file, folder, created_at, Compression.AUTO, lanes) as writer,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("runner.workflow.media._BATCH_ITEMS", 1)
        copy = MediaCopy(media(project), writer, check, lanes, lambda _amount: next(files, lambda: None)())
        copy.run()
    return copy


def test_all_there_needs_no_second_look(project: Project, held: Interleaved, tmp_path: Path) -> None:
    check = ReferenceCheck(held, media(project))
    check.run()
    copied(project, check, tmp_path)
    assert (check.warnings, held.looks) == ([], 0)


def test_a_file_that_is_back_at_the_second_look_is_no_matter(
    project: Project, held: Interleaved, tmp_path: Path
) -> None:
    """The application was replacing it: removed, then written anew."""
    (project.media / "reçus" / "2.pdf").unlink()
    held.meanwhile = lambda: (project.media / "reçus" / "2.pdf").write_bytes(b"new")
    check = ReferenceCheck(held, media(project))
    check.run()
    copied(project, check, tmp_path)
    assert (check.warnings, check.record().missing) == ([], ())


def test_a_row_that_is_gone_at_the_second_look_is_a_warning(project: Project, held: Interleaved) -> None:
    (project.media / "reçus" / "2.pdf").unlink()
    execute(database(project), "DELETE FROM payment WHERE receipt = 'reçus/2.pdf'")
    check = ReferenceCheck(held, media(project))
    check.run()
    assert [warning.code for warning in check.warnings] == ["reference.gone"]
    assert check.record().missing == ("reçus/2.pdf",)


def test_a_row_that_is_there_at_the_second_look_is_an_error(project: Project, held: Interleaved) -> None:
    (project.media / "reçus" / "2.pdf").unlink()
    with pytest.raises(ReferencesMissing):
        ReferenceCheck(held, media(project)).run()


def test_a_file_that_vanishes_and_is_back_during_the_copy_is_saved(
    project: Project, held: Interleaved, tmp_path: Path
) -> None:
    """It is gone when its turn comes; the row says that it belongs there, and at the next attempt it does."""
    two = project.media / "reçus" / "2.pdf"
    (project.media / "cache" / "thumb.jpg").unlink()
    check = ReferenceCheck(held, media(project))
    check.run()
    held.meanwhile = lambda: two.write_bytes(b"new")
    copied(project, check, tmp_path, after=two.unlink)
    assert (check.warnings, held.looks) == ([], 1)
    assert not check.is_pending("reçus/2.pdf")


def test_a_file_that_stays_away_during_the_copy_is_lost(project: Project, held: Interleaved, tmp_path: Path) -> None:
    check = ReferenceCheck(held, media(project))
    check.run()
    (project.media / "reçus" / "2.pdf").unlink()
    with pytest.raises((FileLost, ReferencesMissing), match=r"vanished|names would not be"):
        copied(project, check, tmp_path)


def test_the_end_finds_what_the_walk_never_met(project: Project, held: Interleaved) -> None:
    check = ReferenceCheck(held, media(project))
    check.run()
    check.archived("reçus/1.pdf")
    with pytest.raises(ReferencesMissing) as caught:
        check.finish()
    assert [str(finding.message) for finding in caught.value.missing] == ["`reçus/2.pdf` vanished during the backup"]


def test_the_end_finds_what_was_deleted_meanwhile(project: Project, held: Interleaved) -> None:
    check = ReferenceCheck(held, media(project))
    check.run()
    check.archived("reçus/1.pdf")
    execute(database(project), "DELETE FROM payment WHERE receipt = 'reçus/2.pdf'")
    check.finish()
    assert [warning.code for warning in check.warnings] == ["reference.gone"]


def test_a_name_in_another_normal_form_counts_as_archived(project: Project, held: Interleaved) -> None:
    """Some file systems list a name in another form than the one that found the file."""
    check = ReferenceCheck(held, media(project))
    check.run()
    for name in ("rec\u0327us/1.pdf", "rec\u0327us/2.pdf"):
        assert check.is_pending(name)
        check.archived(name)
    check.finish()
    assert check.warnings == []
