"""A media folder goes into an archive and comes out of it: every name, byte, mode, time and link as it was."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.profile import Variant
from tests.extract import below, described, extract_media
from tests.inside import apply_here
from tests.privileges import give_away, unprivileged
from tests.projects import Project, damage_of, make_project, manifest_of
from tests.requirements import requires_program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names, modes and links of POSIX systems")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project", "engine: sqlite, path: app.sqlite3")
    (made.folder / "app.sqlite3").touch()
    (made.media / "ordinary.txt").write_text("x", "utf-8")
    return made


def back_up(project: Project) -> Path:
    """A `media-only` backup of the tree."""
    before = set(project.archives())
    done = project.run("apply", "app", "--variant", "media-only")
    assert done.returncode == 0, done.stderr
    (archive,) = set(project.archives()) - before
    assert damage_of(archive) == []
    return archive


def assert_comes_back(project: Project, folder: Path) -> None:
    before = described(project.media)
    archive = back_up(project)
    extract_media(archive, folder / "extracted")
    assert described(folder / "extracted") == before
    assert described(project.media) == before
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
    for program, options in ((("unzip",), ["-tqq"]), (("7zz", "7z"), ["t", "-bso0"])):
        tool = requires_program(*program)
        done = subprocess.run([str(tool), *options, str(archive)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), program


def make_file(root: Path, raw: bytes, content: bytes = b"content") -> None:
    path = below(root, raw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_tree_with_everything(project: Project, tmp_path: Path) -> None:
    names = [
        b"caf\xe9",
        b"line\nbreak",
        b"back\\slash",
        b"control\x01\x7f",
        b"%41",
        b"%",
        b"%%25",
        b"n" * 255,
        b" ",
        b"-",
    ]
    names += [
        b"...",
        b"a:b",
        b"CON",
        b"nul.txt",
        b"trailing.",
        b"\xff\xfe",
        "e\u0301".encode(),
        "é".encode(),
        b"A",
        b"a",
    ]
    names += [
        "\u202eevil".encode(),
        "\u2028".encode(),
        "😀".encode(),
        b"*?",
        b"'\"",
        b"$HOME",
        b"media",
        b"manifest.json",
    ]
    for number, name in enumerate(names):
        make_file(project.media, name, os.urandom(number))
        make_file(project.media, b"folder of " + name[:200] + b"/" + name, name)
    make_file(project.media, b"/".join([b"d" * 200] * 15) + b"/deep", b"deep down")
    (project.media / "empty").mkdir()
    (project.media / "empty" / "emptier").mkdir()
    (project.media / "nothing").touch()
    make_file(project.media, b"compressible", b"a" * 3_000_000)
    make_file(project.media, b"photo.jpg", os.urandom(2_500_000))
    make_file(project.media, b"exactly-a-chunk", bytes(1 << 20))
    links = {"inside": "ordinary.txt", "up": "folder of é/../ordinary.txt", "dangling": "no/where", "loop": "loop"}
    links |= {"absolute": str(project.media.resolve() / "ordinary.txt"), "here": ".", "raw": os.fsdecode(b"caf\xe9")}
    for link, target in links.items():
        (project.media / link).symlink_to(target)
    assert_comes_back(project, tmp_path)


def test_modes_and_times(project: Project, tmp_path: Path) -> None:
    for mode in (0o000, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o7777):
        make_file(project.media, f"file-{mode:o}".encode())
        (project.media / f"file-{mode:o}").chmod(mode)
        (project.media / f"folder-{mode:o}").mkdir()
        (project.media / f"folder-{mode:o}").chmod(mode)
    if os.geteuid() != 0:
        for path in (project.media / "file-0", project.media / "folder-0"):
            path.chmod(0o500)
    for time_ns in (0, 1, -1, 315_532_800_000_000_000, 1_700_000_000_123_456_789, 4_354_819_199_999_999_999, 1 << 61):
        make_file(project.media, f"time{time_ns}".encode())
        os.utime(project.media / f"time{time_ns}", ns=(time_ns, time_ns))
    (project.media / "link").symlink_to("ordinary.txt")
    os.utime(project.media / "link", ns=(5, 5), follow_symlinks=False)
    assert_comes_back(project, tmp_path)


def test_a_sparse_file(project: Project, tmp_path: Path) -> None:
    with (project.media / "sparse").open("wb") as file:
        file.write(b"start")
        file.seek(50_000_000)
        file.write(b"end")
    assert_comes_back(project, tmp_path)
    assert manifest_of(project.archives()[0]).media is not None
    assert project.archives()[0].stat().st_size < 1_000_000


names = st.one_of(
    st.binary(min_size=1, max_size=12), st.text(min_size=1, max_size=6).map(lambda t: t.encode("utf-8", "ignore"))
)
legal = names.filter(lambda name: name and not set(name) & {0, 0x2F} and name not in (b".", b".."))
contents = st.one_of(st.binary(max_size=50), st.integers(0, 3 << 20).map(bytes))


@settings(max_examples=25, deadline=None)
@given(tree=st.dictionaries(st.lists(legal, min_size=1, max_size=3).map(b"/".join), contents, min_size=1, max_size=6))
def test_any_tree(tree: dict[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "project"), "engine: sqlite, path: app.sqlite3")
        for raw, content in tree.items():
            try:
                make_file(project.media, raw, content)
            except OSError:  # a file where this one needs a folder, or the other way round
                continue
        before = described(project.media)
        apply_here(project, variant=Variant.MEDIA_ONLY)
        (archive,) = project.archives()
        extract_media(archive, Path(folder, "extracted"))
        assert described(Path(folder, "extracted")) == before


@pytest.mark.parametrize("closed", ["file", "folder", "unsearchable", "root", "above the root"])
def test_what_may_not_be_read_is_an_error_that_names_it(project: Project, tmp_path: Path, closed: str) -> None:
    (project.media / "folder").mkdir()
    make_file(project.media, b"folder/inside")
    make_file(project.media, b"file")
    place, mode = {
        "file": (project.media / "file", 0o000),
        "folder": (project.media / "folder", 0o000),
        "unsearchable": (project.media / "folder", 0o444),
        "root": (project.media, 0o300),
        "above the root": (project.folder / "above", 0o000),
    }[closed]
    if closed == "above the root":
        place.mkdir()
        project.media.rename(place / "media")
        profile = project.folder / "profiles" / "app.yml"
        profile.write_text(profile.read_text("utf-8").replace("root: media", "root: above/media"), "utf-8")
    give_away(project.folder)
    place.chmod(mode)
    with unprivileged(tmp_path) as somebody:
        place.chmod(mode)
        done = project.run("apply", "app", "--variant", "media-only", before=somebody)
    place.chmod(0o755)
    assert done.returncode == 14, done.stderr
    named = {"unsearchable": "inside", "above the root": "media"}.get(closed, place.name)
    assert named in done.stderr
    assert "hint:" in done.stderr
    assert "archive cannot be written" not in done.stderr
    assert (project.archives(), project.leftovers()) == ([], [])


def test_all_that_may_not_be_read_is_told_at_once(project: Project) -> None:
    for number in range(30):
        (project.media / f"out-{number:02d}").symlink_to("/etc/hostname")
    done = project.run("apply", "app", "--variant", "media-only")
    assert done.returncode == 14
    assert done.stderr.count("leads out of the media root") == 20
    assert "and 10 more like these" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes no such names")
def test_a_project_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    project = make_project(folder, "engine: sqlite, path: app.sqlite3", out=tmp_path / "out")
    (project.media / "file.txt").write_bytes(b"x")
    (project.folder / "app.sqlite3").touch()
    (folder / "archives").mkdir()
    (folder / "profiles" / "app.yml").write_text(
        "version: 1\ndatabase: {engine: sqlite, path: app.sqlite3}\nmedia: {root: media}\n"
        "destinations: [{type: local, path: archives}]\n",
        "utf-8",
    )
    done = project.run("apply", "app")
    assert done.returncode == 3, done.stderr
    assert "bug" not in done.stderr
    assert "could not note it" not in done.stderr
    (archive,) = (folder / "archives").glob("*.zip")
    assert damage_of(archive) == []
