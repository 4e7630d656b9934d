"""Archives that are not as they were written: refused before anything is staged, or taken for what is left of them."""

import hashlib
import io
import shutil
from pathlib import Path

import msgspec

from runner.archive.extract import located
from runner.archive.reader import ArchiveReader
from runner.model.manifest import INVENTORY_NAME
from tests.projects import manifest_of
from tests.restores import PostgresqlScene, Scene, contents, spoken
from tests.unit.archive.crafted_zips import deflated
from tests.unit.archive.test_hostile import with_manifest


def places(content: bytes) -> dict[str, tuple[int, int]]:
    """Where the content of each member lies: its first byte, and how many there are."""
    with ArchiveReader(io.BytesIO(content), "test") as reader:
        return {
            each.member.name: (each.position + each.member.header_length, each.member.stored_bytes)
            for each in located(reader)
        }


def hit(content: bytes, *names: str) -> bytes:
    """One byte of each of these members changed."""
    damaged = bytearray(content)
    for name in names:
        start, length = places(content)[name]
        damaged[start + length // 2] ^= 0x55
    return bytes(damaged)


def swapped(content: bytes, first: str, second: str) -> bytes:
    """Two members of one length, each with the other's content."""
    found = places(content)
    (one, length), (other, same) = found[first], found[second]
    assert length == same
    changed = bytearray(content)
    changed[one : one + length], changed[other : other + length] = (
        content[other : other + length],
        content[one : one + length],
    )
    assert bytes(changed) != content
    return bytes(changed)


def with_manifest_of(content: bytes, other: bytes) -> bytes:
    """The members of one archive, and the end of another: its manifest, directory and anchor."""

    def start(archive: bytes) -> int:
        with ArchiveReader(io.BytesIO(archive), "test") as reader:
            return reader.ending.directory_offset - reader.ending.manifest_size

    return content[: start(content)] + other[start(other) :]


def without_inventory_line(content: bytes, path: bytes) -> bytes:
    """The inventory less one line, and the manifest and the end made to agree: only what they promise is not there."""
    with ArchiveReader(io.BytesIO(content), "test") as reader:
        (found,) = (each for each in located(reader) if each.member.name == INVENTORY_NAME)
        lines = b"".join(reader.content(found.member, found.position)).splitlines(keepends=True)
        kept = b"".join(line for line in lines if path not in line)
        assert len(kept) < len(b"".join(lines))
        manifest = msgspec.to_builtins(reader.manifest)
    stored = kept if found.member.method == "store" else deflated(kept)
    (entry,) = (each for each in manifest["members"] if each["name"] == INVENTORY_NAME)
    entry |= {"size": len(kept), "sha256": hashlib.sha256(kept).hexdigest()}
    if entry.get("size_stored") is not None:
        entry |= {"size_stored": len(stored), "sha256_stored": hashlib.sha256(stored).hexdigest()}
    start = found.position + found.member.header_length
    return with_manifest(content[:start] + stored + content[start + found.member.stored_bytes :], manifest)


def fingerprints(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_whatever_is_damaged_is_refused_before_staging(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    (scene.project.media / "reçus" / "00020.pdf").write_bytes(b"back again")
    other = scene.project.apply()  # of the live state: newer
    scene.old = scene.live()
    whole, newer = archive.read_bytes(), other.read_bytes()
    damage = {
        "truncated": newer[: len(newer) * 2 // 3],
        "cut at the end": newer[:-1],
        "longer": newer + b"\0",
        "flipped": hit(newer, "media/reçus/00010.pdf"),
        "database flipped": hit(newer, next(name for name in places(newer) if name.startswith("db_"))),
        "swapped": swapped(newer, "media/reçus/00040.pdf", "media/reçus/00050.pdf"),
        "manifest of another": with_manifest_of(newer, whole),
        "inventory": without_inventory_line(newer, b"00040.pdf"),
        "nothing": b"",
    }
    kept = fingerprints(scene.project.out)
    for name, content in damage.items():
        other.write_bytes(content)
        done = scene.project.run("restore", "app", "--yes")
        assert done.returncode == 13, (name, done.stderr)
        assert other.name in done.stderr, name
        assert f"runner restore app {archive.name}" in spoken(done.stderr), name
        assert scene.live() == scene.old, name
        assert scene.leftovers() == [], name
    other.write_bytes(newer)
    assert fingerprints(scene.project.out) == kept
    other.write_bytes(damage["flipped"])
    named = scene.project.run("restore", "app", archive.name, "--yes")
    assert named.returncode == 0, named.stderr
    assert scene.live() == scene.new


def test_when_no_other_is_whole_it_says_so(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    archive.write_bytes(hit(archive.read_bytes(), "media/reçus/00010.pdf"))
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 13, done.stderr
    assert "none of the newest others is whole" in spoken(done.stderr)
    bare = scene.project.folder.parent / "elsewhere" / archive.name
    bare.parent.mkdir()
    shutil.move(archive, bare)
    done = scene.project.run("restore", "app", str(bare), "--yes")
    assert done.returncode == 13, done.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_with_damage_accepted_the_rest_of_the_media_comes_back(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    archive.write_bytes(hit(archive.read_bytes(), "media/reçus/00010.pdf"))
    done = scene.project.run("restore", "app", "--accept-damage", "--yes")
    assert done.returncode == 3, done.stderr
    assert "the file `media/reçus/00010.pdf` is lost" in spoken(done.stderr)
    assert scene.content() == scene.new[0]
    raw = "reçus/00010.pdf".encode()
    left = {path: facts for path, facts in scene.new[1].items() if path != raw}
    assert scene.live()[1] == left
    assert scene.leftovers() == []
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def test_a_database_that_is_lost_is_refused_and_the_media_come_back_alone(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    content = archive.read_bytes()
    archive.write_bytes(hit(content, next(name for name in places(content) if name.startswith("db_"))))
    refused = scene.project.run("restore", "app", "--accept-damage", "--yes")
    assert refused.returncode == 13, refused.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []
    done = scene.project.run("restore", "app", "--accept-damage", "--variant", "media-only", "--yes")
    assert done.returncode == 3, done.stderr
    assert scene.live() == (scene.old[0], scene.new[1])


def test_a_damaged_table_is_left_out_and_named(postgresql: PostgresqlScene) -> None:
    scene = postgresql
    (archive,) = scene.project.archives()
    record = manifest_of(archive).database
    assert record is not None
    (lost,) = (table for table in record.tables if table.name == "public.school_student")
    assert lost.member is not None
    archive.write_bytes(hit(archive.read_bytes(), lost.member))
    refused = scene.project.run("restore", "app", "--yes")
    assert refused.returncode == 13, refused.stderr
    assert scene.leftovers() == []
    assert scene.live() == scene.old
    done = scene.project.run("restore", "app", "--accept-damage", "--yes")
    assert done.returncode == 3, done.stderr
    assert "the 300 rows of the table `public.school_student` are lost" in spoken(done.stderr)
    assert scene.cluster.sql(scene.name, "SELECT count(*) FROM school_student") == [(0,)]
    assert scene.cluster.sql(scene.name, "SELECT count(*) FROM finance_payment") == [(50,)]
    assert scene.cluster.sql(scene.name, "SELECT to_regclass('newer_migration')") == [(None,)]
    assert scene.live()[1] == scene.new[1]
    assert contents(scene.project.media)
    assert scene.leftovers() == []
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old
