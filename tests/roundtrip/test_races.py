"""Files that come, go and change between two steps of a backup, each step held still by the test."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.archive.inventory import raw_path
from runner.archive.reader import ArchiveReader
from runner.errors import FileLost, ReferencesMissing, SourceUnreadable
from runner.events import Event, StageAdvanced, StageStarted
from runner.model.manifest import InventoryEntry
from runner.model.plan import Action
from runner.model.report import BackupReport
from tests.inside import apply_here
from tests.projects import Project, damage_of, make_project, manifest_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")

Change = Callable[[], object]


@pytest.fixture(autouse=True)
def _one_file_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read ahead, so that a test can change what comes next."""
    monkeypatch.setattr("runner.workflow.apply.lanes_of", lambda _profile: 1)
    monkeypatch.setattr("runner.workflow.media._BATCH_ITEMS", 1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Files `a.pdf` to `e.pdf` in one folder, of which the database names the first three."""
    made = make_project(
        tmp_path / "project",
        "engine: sqlite, path: app.sqlite3",
        media=", references: [{table: payment, column: receipt}]",
    )
    execute(made, "CREATE TABLE payment (receipt TEXT)")
    for name in "abcde":
        (made.media / f"{name}.pdf").write_bytes(b"%PDF " + name.encode() * 1000)
        if name in "abc":
            execute(made, f"INSERT INTO payment VALUES ('{name}.pdf')")
    return made


def execute(project: Project, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(project.folder / "app.sqlite3", isolation_level=None)) as connection:
        connection.execute(statement)


@dataclass
class Once:
    """A reporter that does something once: when the media stage starts, or after its first file (`a.pdf`)."""

    do: Change
    after_first: bool = True
    done: bool = field(default=False)

    def __call__(self, event: Event, /) -> None:
        kind = StageAdvanced if self.after_first else StageStarted
        if isinstance(event, kind) and event.action is Action.MEDIA and not self.done:
            self.done = True
            self.do()


def when_references_are_checked(do: Change) -> Callable[[Event], None]:
    """After the snapshot, before the first look at a referenced file."""

    def report(event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.action is Action.REFERENCES:
            do()

    return report


def remove(project: Project, *names: str) -> None:
    for name in names:
        (project.media / name).unlink()


def forget(project: Project, *names: str) -> None:
    for name in names:
        execute(project, f"DELETE FROM payment WHERE receipt = '{name}'")


def delete(project: Project, name: str) -> None:
    """As an application does: the row, then the file."""
    forget(project, name)
    remove(project, name)


def entries(project: Project) -> dict[str, InventoryEntry]:
    (archive,) = project.archives()
    assert damage_of(archive) == []
    with ArchiveReader.open(archive) as reader:
        return {os.fsdecode(raw_path(entry)): entry for entry in reader.entries()}


def codes(report: BackupReport) -> list[tuple[str, str]]:
    found = [(warning.code, warning.message) for warning in report.warnings]
    kept = [(record.code, record.message) for record in report.manifest.warnings]
    assert [(code, str(message)) for code, message in found] == kept
    return [(warning.code, Path(warning.where or "").name) for warning in report.warnings]


def assert_nothing(project: Project) -> None:
    assert (project.archives(), project.leftovers()) == ([], [])


def test_a_named_file_that_vanishes_with_its_row_is_a_warning(project: Project) -> None:
    report = apply_here(project, Once(lambda: delete(project, "b.pdf")))
    assert codes(report) == [("reference.gone", "payment.receipt")]
    assert report.manifest.references is not None
    assert (report.manifest.references.checked, report.manifest.references.missing) == (3, ("b.pdf",))
    assert set(entries(project)) == {"", "a.pdf", "c.pdf", "d.pdf", "e.pdf"}


def test_every_vanished_file_gets_its_own_second_look(project: Project) -> None:
    """`b.pdf` goes after the first file is in the archive, `d.pdf` after the second and the look for `b.pdf`."""
    execute(project, "INSERT INTO payment VALUES ('d.pdf'), ('e.pdf')")
    going = iter(["b.pdf", "d.pdf"])

    def report(event: Event, /) -> None:
        if isinstance(event, StageAdvanced) and event.action is Action.MEDIA and (name := next(going, None)):
            delete(project, name)

    report_of_it = apply_here(project, report)
    assert codes(report_of_it) == [("reference.gone", "payment.receipt")] * 2
    assert set(entries(project)) == {"", "a.pdf", "c.pdf", "e.pdf"}


@pytest.mark.parametrize("after_first", [True, False], ids=["listed", "not listed"])
def test_a_named_file_that_vanishes_without_its_row_is_an_error(project: Project, after_first: bool) -> None:
    """Listed: its name was seen and it was gone when its turn came. Not listed: the walk never met it."""
    with pytest.raises((FileLost, ReferencesMissing)) as caught:
        apply_here(project, Once(lambda: remove(project, "b.pdf"), after_first=after_first))
    assert "b.pdf" in "".join(map(str, caught.value.findings))
    assert caught.value.exit_code == 13
    assert_nothing(project)


def test_a_file_that_nobody_names_may_vanish_with_a_warning(project: Project) -> None:
    report = apply_here(project, Once(lambda: remove(project, "d.pdf")))
    assert codes(report) == [("media.vanished", "d.pdf")]
    assert set(entries(project)) == {"", "a.pdf", "b.pdf", "c.pdf", "e.pdf"}


def test_a_file_that_nobody_names_and_the_walk_never_met_is_no_matter(project: Project) -> None:
    report = apply_here(project, Once(lambda: remove(project, "d.pdf"), after_first=False))
    assert codes(report) == []


def test_files_that_come_are_saved_when_they_are_met(project: Project) -> None:
    def add() -> None:
        (project.media / "b2.pdf").write_bytes(b"new")
        execute(project, "INSERT INTO payment VALUES ('b2.pdf'), ('never-there.pdf')")

    report = apply_here(project, Once(add, after_first=False))
    assert codes(report) == []
    assert report.manifest.references is not None
    assert report.manifest.references.checked == 3
    assert "b2.pdf" in entries(project)


def test_a_file_that_is_replaced_before_its_turn_is_saved_as_it_is_then(project: Project) -> None:
    def replace() -> None:
        (project.folder / "new").write_bytes(b"the new content")
        (project.folder / "new").replace(project.media / "b.pdf")

    report = apply_here(project, Once(replace))
    assert codes(report) == []
    assert entries(project)["b.pdf"].size == len(b"the new content")


@pytest.mark.parametrize("name", ["b.pdf", "d.pdf"])
@pytest.mark.parametrize("kind", ["directory", "link outside"])
def test_a_file_that_becomes_something_else_is_an_error_that_names_it(project: Project, name: str, kind: str) -> None:
    def replace() -> None:
        remove(project, name)
        if kind == "directory":
            (project.media / name).mkdir()
        else:
            (project.media / name).symlink_to("/etc/hostname")

    with pytest.raises(SourceUnreadable) as caught:
        apply_here(project, Once(replace))
    assert Path(caught.value.where or "").name == name
    assert caught.value.hint is not None
    assert_nothing(project)


def test_a_file_that_becomes_a_fifo_is_told_like_any_other(project: Project) -> None:
    def replace() -> None:
        remove(project, "d.pdf")
        os.mkfifo(project.media / "d.pdf")

    assert codes(apply_here(project, Once(replace))) == [("media.special", "d.pdf")]


def test_a_named_file_that_becomes_a_fifo_is_missing(project: Project) -> None:
    def replace() -> None:
        remove(project, "b.pdf")
        os.mkfifo(project.media / "b.pdf")

    with pytest.raises(ReferencesMissing):
        apply_here(project, Once(replace))
    assert_nothing(project)


def test_a_file_that_becomes_a_link_inside_is_kept_as_one(project: Project) -> None:
    def replace() -> None:
        remove(project, "d.pdf")
        (project.media / "d.pdf").symlink_to("a.pdf")

    assert codes(apply_here(project, Once(replace))) == []
    assert entries(project)["d.pdf"].type == "link"


def test_a_whole_folder_that_goes_before_its_turn(project: Project) -> None:
    (project.media / "z").mkdir()
    (project.media / "z" / "x.pdf").write_bytes(b"x")

    def go() -> None:
        remove(project, "z/x.pdf")
        (project.media / "z").rmdir()

    assert codes(apply_here(project, Once(go))) == [("media.vanished", "z")]


def test_a_row_and_its_file_that_go_between_snapshot_and_check_are_a_warning(project: Project) -> None:
    report = apply_here(project, when_references_are_checked(lambda: delete(project, "b.pdf")))
    assert codes(report) == [("reference.gone", "payment.receipt")]


def test_a_file_that_goes_between_snapshot_and_check_is_missing(project: Project) -> None:
    with pytest.raises(ReferencesMissing) as caught:
        apply_here(project, when_references_are_checked(lambda: remove(project, "b.pdf", "c.pdf")))
    assert [finding.code for finding in caught.value.missing] == ["reference.missing"] * 2
    assert_nothing(project)


@contextlib.contextmanager
def appending(path: Path) -> Iterator[None]:
    """A process that goes on appending to a file, so fast that no reading of it sees it at rest."""
    script = (
        "import sys\n"
        "with open(sys.argv[1], 'ab', buffering=0) as file:\n"
        "    for number in range(50_000_000):\n"
        "        file.write(b'x')\n"
        "        if number == 100: print('going', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        try:
            yield
            assert writer.poll() is None
        finally:
            writer.kill()


def test_a_file_that_never_rests_is_kept_with_a_warning(project: Project) -> None:
    log = project.media / "log.txt"
    log.touch()
    os.truncate(log, 20 << 20)
    with appending(log):
        report = apply_here(project)
    assert codes(report) == [("media.changed", "log.txt")]
    entry = entries(project)["log.txt"]
    assert entry.changed is True
    assert entry.size >= 20 << 20


def test_a_named_file_that_never_rests_is_an_error(project: Project) -> None:
    os.truncate(project.media / "b.pdf", 20 << 20)
    with appending(project.media / "b.pdf"), pytest.raises(FileLost) as caught:
        apply_here(project)
    assert Path(caught.value.where or "").name == "b.pdf"
    assert "changed each time" in str(caught.value)
    assert_nothing(project)


def test_warnings_about_names_that_are_no_text_reach_the_manifest(project: Project) -> None:
    os.mkfifo(project.media / os.fsdecode(b"caf\xe9"))
    report = apply_here(project)
    assert [warning.code for warning in report.warnings] == ["media.special"]
    (record,) = manifest_of(project.archives()[0]).warnings
    assert record.where is not None
    assert record.where.endswith("caf\\udce9")
