"""What is lost with each damaged byte: exactly what is said, and everything else still comes out as it went in."""

from pathlib import Path

import pytest

from runner.archive.damage import Condition, Damage, survey_damage
from runner.archive.extract import dump_members, located, unpack_dump
from runner.archive.reader import NotAnArchive
from runner.archive.verify import verify_archive
from runner.errors import ArchiveDamaged
from runner.model.manifest import TableRecord
from tests.unit.archive.test_extract import (
    DUMP,
    MEDIA,
    PARTS,
    archive_of,
    entry_of,
    postgresql_record,
    reader_of,
    sqlite_record,
)
from tests.unit.archive.test_hostile import manifest_of, with_manifest

TABLES = (TableRecord(name="public.payment", rows=3, member=f"{DUMP}/3001.dat.gz"),)
CONTENTS = f"{DUMP}/toc.dat"
TABLE = f"{DUMP}/3001.dat.gz"
LARGE_OBJECT = f"{DUMP}/blob_1.dat.gz"
FILE = "media/été/grand"
LINK = "media/été/lien"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    parts = {f"{DUMP}/{name}": content for name, content in PARTS.items()}
    return archive_of(tmp_path, postgresql_record(tables=TABLES), parts, MEDIA)


def hit(content: bytes, *names: str) -> bytes:
    """The archive with one byte of the content of each of these members changed."""
    damaged = bytearray(content)
    for member, position, _ in located(reader_of(content)):
        if member.name in names:
            damaged[position + member.header_length + member.stored_bytes // 2] ^= 0x55
    return bytes(damaged)


def surveyed(content: bytes) -> Damage:
    return survey_damage(reader_of(content))


def texts(damage: Damage) -> list[str]:
    return [str(finding.message) for finding in damage.lost]


def test_of_a_whole_archive_nothing_is_lost(archive: bytes) -> None:
    done: list[int] = []
    damage = survey_damage(reader_of(archive), done.append)
    assert damage == Damage(Condition.WHOLE, Condition.WHOLE, frozenset(), ())
    assert 0 < sum(done) < len(archive)


@pytest.mark.parametrize(
    ("names", "database", "media", "skip", "lost"),
    [
        ((TABLE,), "partly", "whole", {TABLE}, ["the 3 rows of the table `public.payment` are lost"]),
        (
            (LARGE_OBJECT,),
            "partly",
            "whole",
            {LARGE_OBJECT},
            [f"large objects are lost: `{LARGE_OBJECT}` cannot be read whole"],
        ),
        ((FILE,), "whole", "partly", {FILE}, [f"the file `{FILE}` is lost"]),
        (
            (TABLE, FILE),
            "partly",
            "partly",
            {TABLE, FILE},
            ["the 3 rows of the table `public.payment` are lost", f"the file `{FILE}` is lost"],
        ),
        ((CONTENTS,), "lost", "whole", set(), [f"the database is lost: `{CONTENTS}` cannot be read whole"]),
        (
            ("files.jsonl",),
            "whole",
            "lost",
            set(),
            ["the media are lost: `files.jsonl` differs from its checksum"],
        ),
        ((LINK,), "whole", "whole", set(), []),
        (("RESTORE.txt",), "whole", "whole", set(), []),
    ],
)
def test_exactly_what_is_damaged_is_lost(
    archive: bytes, names: tuple[str, ...], database: str, media: str, skip: set[str], lost: list[str]
) -> None:
    content = hit(archive, *names)
    assert not verify_archive(reader_of(content)).intact
    damage = surveyed(content)
    assert (damage.database, damage.media) == (database, media)
    assert damage.skip == skip
    assert texts(damage) == lost


def test_the_rest_comes_out_as_it_went_in(archive: bytes, tmp_path: Path) -> None:
    content = hit(archive, TABLE, FILE)
    damage = surveyed(content)
    target = unpack_dump(reader_of(content), tmp_path, damage.skip)
    kept = {name: part for name, part in PARTS.items() if name != "3001.dat.gz"}
    assert {path.name: path.read_bytes() for path in target.iterdir()} == kept
    reader = reader_of(content)
    read = {
        member.name: b"".join(reader.content(member, at))
        for member, at, entry in located(reader)
        if entry is not None and member.name not in damage.skip
    }
    assert set(read) == {member.name for member, _, entry in located(reader) if entry is not None} - {FILE}
    (tmp_path / "all").mkdir()
    with pytest.raises(ArchiveDamaged):
        unpack_dump(reader_of(content), tmp_path / "all")


def test_a_header_that_is_wrong_costs_nothing(archive: bytes) -> None:
    content = bytearray(archive)
    content[10] ^= 1
    content[archive.index(b"PK\1\2") + 12] ^= 1
    assert len(verify_archive(reader_of(bytes(content))).damage) == 2
    assert surveyed(bytes(content)).lost == ()


@pytest.mark.parametrize("plain", [False, True])
def test_a_dump_of_one_member_is_whole_or_lost(tmp_path: Path, plain: bool) -> None:
    record = postgresql_record(f"{DUMP}.sql", format="plain") if plain else sqlite_record()
    content = hit(archive_of(tmp_path, record, {record.dump: b"-- some content"}), record.dump)
    damage = surveyed(content)
    assert (damage.database, damage.media, damage.skip) == (Condition.LOST, Condition.NONE, frozenset())
    assert texts(damage) == [f"the database is lost: `{record.dump}` cannot be read whole"]


@pytest.mark.parametrize("names", ["ab", "ac", "abcd", "abb", ""])
def test_an_inventory_with_a_line_more_or_less_is_refused(tmp_path: Path, names: str) -> None:
    """Even where every checksum of inventory and manifest is right: what lies before them says otherwise."""

    def made(names: str) -> tuple[bytes, bytes]:
        """The archive up to its inventory, and from there."""
        media = [(entry_of(name, content=name.encode()), name.encode()) for name in names]
        content = archive_of(tmp_path, None, {}, media)
        try:
            start = next(at for member, at, _ in located(reader_of(content)) if member.name == "files.jsonl")
        except ArchiveDamaged:  # a line twice is no inventory
            start = content.index(b"files.jsonl") - 30
        return content[:start], content[start:]

    media, behind = made("abc")
    assert accepts(media + behind)
    assert not accepts(media + made(names)[1])


def accepts(content: bytes) -> bool:
    try:
        return verify_archive(reader_of(content)).intact
    except ArchiveDamaged:
        return False


def test_counts_that_differ_lose_the_media(archive: bytes) -> None:
    manifest = manifest_of(archive)
    manifest["media"]["files"] += 1
    damage = surveyed(with_manifest(archive, manifest))
    assert damage.media is Condition.LOST
    assert damage.database is Condition.WHOLE


def test_the_manifest_of_another_archive_is_refused(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    parts = {f"{DUMP}/{name}": content[::-1] for name, content in PARTS.items()}
    other = archive_of(tmp_path / "other", postgresql_record(tables=TABLES), parts, MEDIA)
    swapped = with_manifest(archive, manifest_of(other))
    assert not accepts(swapped)
    damage = surveyed(swapped)
    assert damage.database is Condition.LOST
    assert not accepts(with_manifest(other, manifest_of(archive)))


def test_two_members_in_each_others_place_are_refused(tmp_path: Path) -> None:
    parts = {f"{DUMP}/toc.dat": b"PGDMP", f"{DUMP}/1.dat": b"1111", f"{DUMP}/2.dat": b"2222"}
    content = archive_of(tmp_path, postgresql_record(), parts)
    assert accepts(content)
    swapped = content.replace(b"1111", b"----").replace(b"2222", b"1111").replace(b"----", b"2222")
    assert not accepts(swapped)
    assert surveyed(swapped).skip == {f"{DUMP}/1.dat", f"{DUMP}/2.dat"}


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_of_an_archive_that_was_cut_short_nothing_is_accepted(archive: bytes, kept: float) -> None:
    with pytest.raises(NotAnArchive):
        reader_of(archive[: int(len(archive) * kept)])


def test_an_archive_without_its_manifest_is_not_accepted(archive: bytes) -> None:
    content = archive.replace(b'"host": "here"', b'"host": "hare"')
    with pytest.raises(ArchiveDamaged):
        reader_of(content)


def test_a_dump_that_the_manifest_does_not_explain_is_lost(tmp_path: Path) -> None:
    content = archive_of(tmp_path, postgresql_record(), {f"{DUMP}/1.dat": b""}, MEDIA)
    damage = surveyed(content)
    assert (damage.database, damage.media) == (Condition.LOST, Condition.WHOLE)
    with pytest.raises(ArchiveDamaged):
        dump_members(reader_of(content))
