"""What lies in a media folder besides ordinary files, and how each of it is saved, named or refused."""

import json
import os
import socket
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from runner.archive.inventory import raw_path
from runner.archive.reader import ArchiveReader
from runner.model.manifest import InventoryEntry
from tests.projects import Project, damage_of, sqlite_project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, modes and special files of POSIX systems")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return sqlite_project(tmp_path / "project", rows=20)


def entries(archive: Path) -> dict[bytes, InventoryEntry]:
    assert damage_of(archive) == []
    with ArchiveReader.open(archive) as reader:
        return {raw_path(entry): entry for entry in reader.entries()}


def result(project: Project) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(project.run("apply", "app", "--format", "json").stdout)
    return document


def test_modes_times_owners_and_empty_folders(project: Project) -> None:
    folder = project.media / "empty"
    folder.mkdir(mode=0o750)
    folder.chmod(0o2750)
    file = project.media / "secret.txt"
    file.write_text("x", "utf-8")
    file.chmod(0o400)
    os.utime(file, ns=(1, 1_234_567_890_123_456_789))
    found = entries(project.apply())
    assert (found[b"empty"].type, found[b"empty"].mode) == ("directory", stat.S_IMODE(folder.stat().st_mode))
    assert (found[b"secret.txt"].mode, found[b"secret.txt"].mtime_ns) == (0o400, 1_234_567_890_123_456_789)
    assert found[b"secret.txt"].uid == os.getuid()
    assert found[b""].type == "directory"


@pytest.mark.parametrize(
    "raw", [b"caf\xe9.txt", b"a\\b.txt", b"a\nb.txt", b"%41.txt", b"\x7f", b" ", b"n" * 255, "e\u0301".encode()]
)
def test_every_name_comes_back_byte_for_byte(project: Project, raw: bytes) -> None:
    path = os.fsencode(project.media) + b"/" + raw
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"content")
    os.close(descriptor)
    archive = project.apply()
    entry = entries(archive)[raw]
    with zipfile.ZipFile(archive) as opened:
        assert opened.read(f"media/{entry.path}") == b"content"


def test_links_inside_are_kept_as_links(project: Project) -> None:
    (project.media / "link").symlink_to("reçus/00010.pdf")
    (project.media / "dangling").symlink_to("nowhere")
    (project.media / "absolute").symlink_to(project.media / "reçus")
    (project.media / "loop").symlink_to("loop")
    found = entries(project.apply())
    assert {found[name].type for name in (b"link", b"dangling", b"absolute", b"loop")} == {"link"}
    assert found[b"link"].target == "reçus/00010.pdf"


def test_links_that_lead_out_are_errors_that_name_them(project: Project) -> None:
    (project.media / "out").symlink_to("/etc/hostname")
    (project.media / "up").symlink_to("../../elsewhere")
    document = result(project)
    assert document["exit_code"] == 14
    assert [Path(error["where"]).name for error in document["errors"]] == ["out", "up"]
    assert project.archives() == []


def test_special_files_are_never_opened_and_are_named(project: Project) -> None:
    os.mkfifo(project.media / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(project.media)  # the name of a socket may not be long
        listening.bind("socket")
        os.chdir(here)
        document = result(project)
    assert document["exit_code"] == 3
    assert [(warning["code"], Path(warning["where"]).name) for warning in document["warnings"]] == [
        ("media.special", "fifo"),
        ("media.special", "socket"),
    ]
    assert b"fifo" not in entries(project.archives()[0])


def test_what_is_excluded_is_not_there(project: Project) -> None:
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("root: media", 'root: media, exclude: ["*.tmp", "cache/**"]'), "utf-8"
    )
    (project.media / "cache" / "deep").mkdir(parents=True)
    for name in ("a.tmp", "cache/x", "cache/deep/y", "kept.txt"):
        (project.media / name).write_text("x", "utf-8")
    found = set(entries(project.apply()))
    assert b"kept.txt" in found
    assert b"cache" in found
    assert not {b"a.tmp", b"cache/x", b"cache/deep", b"cache/deep/y"} & found


def test_what_is_required_must_be_there(project: Project) -> None:
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("root: media", "root: media, required: [payment_receipts, certificates]"),
        "utf-8",
    )
    document = result(project)
    assert document["exit_code"] == 14
    assert len(document["errors"]) == 2
    assert not project.work.exists() or not any(project.work.iterdir())
    (project.media / "payment_receipts").mkdir()
    (project.media / "certificates").mkdir()
    assert result(project)["exit_code"] == 0


def test_an_empty_root_is_an_error_once_there_were_files(project: Project) -> None:
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(", references: [{table: finance_payment, column: receipt}]", "")
    profile.write_text(text, "utf-8")
    project.apply()
    project.media.rename(project.folder / "unmounted")
    project.media.mkdir()
    document = result(project)
    assert document["exit_code"] == 14
    assert "the last backup held 2" in document["errors"][0]["message"]
    project.media.rmdir()
    assert result(project)["exit_code"] == 14
    assert len(project.archives()) == 1


def test_an_empty_root_is_a_warning_the_first_time(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=5)
    (project.media / "reçus").rmdir()
    document = result(project)
    assert document["exit_code"] == 3
    assert document["warnings"][0]["code"] == "media.empty"
