"""Zips of the scripts that this tool replaces, restored by the command: honest ones, cut ones, and ones that attack."""

import json
import secrets
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.restores import SCHOOL as ROWS
from tests.restores import PostgresqlScene, Scene, contents, fresh_postgresql_scene, spoken, sqlite_scene
from tests.servers.postgresql import Cluster
from tests.unit.archive.crafted_zips import Crafted, crafted, deflated

DUMP = "db_postgres_20250901_120000.sql"
FILES = {"media/reçus/00010.pdf": b"%PDF-old", "media/affiches/été.png": b"png" * 40_000, "media/vide.txt": b""}
MANIFEST = {"project": "school", "created_at": "2025-09-01T12:00:00", "django_version": "4.2", "db_engine": "x"}
UNPROVEN = "it holds no checksums, so nothing can be proven"


@pytest.fixture
def scene(cluster: Cluster, tmp_path: Path) -> Iterator[PostgresqlScene]:
    with fresh_postgresql_scene(tmp_path, cluster) as made:
        yield made


@pytest.fixture
def dump(cluster: Cluster) -> Iterator[bytes]:
    """What the old script's pg_dump made of the same school as the archive of `scene`."""
    name = cluster.create_database(f"old_{secrets.token_hex(4)}", encoding="UTF8")
    try:
        cluster.sql(name, ROWS)
        yield cluster.run("pg_dump", "--no-owner", "--no-privileges", dbname=name).stdout
    finally:
        cluster.drop_database(name)


def old_zip(path: Path, database: dict[str, bytes], files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(MANIFEST))
        for name, content in (database | files).items():
            archive.writestr(name, content)
    return path


def expected_media() -> dict[str, bytes]:
    return {name.removeprefix("media/"): content for name, content in FILES.items()}


def assert_untouched(scene: Scene) -> None:
    assert scene.live() == scene.old
    assert scene.leftovers() == []


@pytest.mark.parametrize("written", ["as it is", "by PowerShell", "with a byte order mark"])
def test_a_dump_and_media_come_back_and_can_be_undone(
    scene: PostgresqlScene, dump: bytes, tmp_path: Path, written: str
) -> None:
    content = {
        "as it is": dump,
        "by PowerShell": dump.decode("utf-8").replace("\n", "\r\n").encode("utf-16"),
        "with a byte order mark": b"\xef\xbb\xbf" + dump,
    }[written]
    archive = old_zip(tmp_path / "school_backup_20250901_120000.zip", {DUMP: content}, FILES)
    done = scene.project.run("restore", "app", str(archive), "--yes", "--trust-sql")
    assert done.returncode == 3, done.stderr
    assert UNPROVEN in spoken(done.stderr)
    assert scene.content() == scene.new[0]
    assert contents(scene.project.media) == expected_media()
    assert scene.leftovers() == []
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert_untouched(scene)


def test_a_dump_alone_leaves_the_media(scene: PostgresqlScene, dump: bytes, tmp_path: Path) -> None:
    archive = old_zip(tmp_path / "old.zip", {DUMP: dump}, {})
    refused = scene.project.run("restore", "app", str(archive), "--variant", "full", "--yes", "--trust-sql")
    assert refused.returncode == 15, refused.stderr
    assert "db-only" in refused.stderr
    assert_untouched(scene)
    done = scene.project.run("restore", "app", str(archive), "--yes", "--trust-sql")
    assert done.returncode == 3, done.stderr
    assert scene.live() == (scene.new[0], scene.old[1])


def test_a_superuser_must_trust_its_sql(scene: PostgresqlScene, dump: bytes, tmp_path: Path) -> None:
    archive = old_zip(tmp_path / "old.zip", {DUMP: dump}, FILES)
    refused = scene.project.run("restore", "app", str(archive), "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "--trust-sql" in refused.stderr
    assert_untouched(scene)


HOSTILE = {
    "shell": "\\! touch {proof}\n",
    "shell behind a statement": "SELECT 1; \\! touch {proof}\n",
    "copy to a file": "\\copy school_student to '{proof}'\n",
    "copy to a program": "\\copy school_student to program 'touch {proof}'\n",
    "output": "\\o {proof}\nSELECT 1;\n",
    "output of a statement": "SELECT 1 \\g {proof}\n",
    "include": "\\i {proof}.sql\n",
    "include beside": "\\ir {proof}.sql\n",
    "backquotes": "\\set x `touch {proof}`\n",
    "behind unrestrict": "\\unrestrict `touch {proof}`\n",
    "another server": "\\c postgres\n",
}


def with_command(dump: bytes, command: str) -> str:
    """The dump with a line more, before it says that it is complete."""
    end = "--\n-- PostgreSQL database dump complete"
    assert dump.decode("utf-8").count(end) == 1
    return dump.decode("utf-8").replace(end, f"{command}\n{end}")


@pytest.mark.parametrize(
    "names", [list(HOSTILE)[::3], pytest.param(list(HOSTILE), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_no_command_of_psql_runs(scene: PostgresqlScene, dump: bytes, tmp_path: Path, names: list[str]) -> None:
    proof = tmp_path / "proof"
    Path(f"{proof}.sql").write_text(f"\\! touch {proof}\n", "utf-8")
    for number, name in enumerate(names):
        written = "utf-16" if number % 2 else "utf-8"
        content = with_command(dump, HOSTILE[name].format(proof=proof)).encode(written)
        archive = old_zip(tmp_path / "old.zip", {DUMP: content}, FILES)
        done = scene.project.run("restore", "app", str(archive), "--yes", "--trust-sql")
        assert done.returncode == 13, (name, done.stderr)
        assert DUMP in done.stderr, name
        assert not proof.exists(), name
        assert scene.leftovers() == [], name
    assert_untouched(scene)


def test_a_dump_that_was_cut_short_is_refused(scene: PostgresqlScene, dump: bytes, tmp_path: Path) -> None:
    wide = dump.decode("utf-8").encode("utf-16")
    cuts = {
        "in a table's rows": dump[: dump.index(b"COPY public.school_student") + 1500],
        "before the end": dump[: dump.index(b"-- PostgreSQL database dump complete")],
        "in half a character": wide[:-401],
        "in UTF-16": wide[: len(wide) // 4 * 2],
        "empty": b"",
        "empty, by PowerShell": "\r\n".encode("utf-16"),
    }
    for where, cut in cuts.items():
        archive = old_zip(tmp_path / "old.zip", {DUMP: cut}, FILES)
        done = scene.project.run("restore", "app", str(archive), "--yes", "--trust-sql")
        assert done.returncode == 13, (where, done.stderr)
        assert DUMP in done.stderr, where
        assert scene.leftovers() == [], where
    assert_untouched(scene)


def test_a_dump_whose_sql_fails_is_refused(scene: PostgresqlScene, dump: bytes, tmp_path: Path) -> None:
    wrong = dump.replace(b"name text\n", b"name no_such_type\n")
    assert wrong != dump
    archive = old_zip(tmp_path / "old.zip", {DUMP: wrong}, FILES)
    done = scene.project.run("restore", "app", str(archive), "--yes", "--trust-sql")
    assert done.returncode in (13, 14), done.stderr
    assert "no_such_type" in done.stderr
    assert_untouched(scene)


def test_a_sqlite_copy_and_media_come_back_and_can_be_undone(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    copy = scene.project.folder / "school.sqlite3"
    archive = old_zip(tmp_path / "old.zip", {"db.sqlite3": copy.read_bytes()}, FILES)
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    assert scene.content() == scene.new[0]
    now = scene.live()
    done = scene.project.run("restore", "app", str(archive), "--yes")
    assert done.returncode == 3, done.stderr
    assert UNPROVEN in spoken(done.stderr)
    assert scene.content() == scene.old[0]
    assert contents(scene.project.media) == expected_media()
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == now
    assert scene.leftovers() == []


def test_a_sqlite_copy_that_is_damaged_is_refused(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    whole = (scene.project.folder / "school.sqlite3").read_bytes()
    damage = {
        "overwritten": whole[:4096] + b"\x5a" * 4096 + whole[8192:],
        "cut": whole[:-4096],
        "another file": b"no database" * 1000,
        "empty": b"",
    }
    for name, content in damage.items():
        archive = old_zip(tmp_path / "old.zip", {"db.sqlite3": content}, FILES)
        done = scene.project.run("restore", "app", str(archive), "--yes")
        assert done.returncode == 13, (name, done.stderr)
        assert "hint:" in done.stderr, name
        assert scene.leftovers() == [], name
    assert_untouched(scene)


def test_a_zip_of_the_other_engine_is_refused(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    archive = old_zip(tmp_path / "old.zip", {DUMP: b"-- PostgreSQL database dump\n"}, FILES)
    done = scene.project.run("restore", "app", str(archive), "--yes")
    assert done.returncode == 15, done.stderr
    assert "Traceback" not in done.stderr
    assert_untouched(scene)


LINK = (stat.S_IFLNK | 0o777) << 16
ATTACKS: dict[str, tuple[tuple[Crafted, ...], str]] = {
    "parent": ((Crafted(b"media/../../evil"),), "media/../../evil"),
    "parent at the top": ((Crafted(b"../evil"),), "../evil"),
    "absolute": ((Crafted(b"/tmp/evil-of-a-test"),), "/tmp/evil-of-a-test"),
    "link": ((Crafted(b"media/a", b"..", attributes=LINK), Crafted(b"media/a/evil")), "media/a"),
    "duplicate": ((Crafted(b"media/a"), Crafted(b"media/a", b"other")), "media/a"),
    "bomb": (
        (Crafted(b"media/bomb", method=8, stored=deflated(b"\0" * (10 << 20)), size=1000),),
        "media/bomb",
    ),
}


def test_nothing_of_a_hostile_zip_is_written(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    database = Crafted(b"db.sqlite3", (scene.project.folder / "school.sqlite3").read_bytes())
    archive = tmp_path / "old.zip"
    archive.touch()
    state = scene.project.folder / ".runner"
    around = {path for path in tmp_path.rglob("*") if state not in path.parents}
    for name, (members, shown) in ATTACKS.items():
        archive.write_bytes(crafted(database, Crafted(b"media/x"), *members).getvalue())
        done = scene.project.run("restore", "app", str(archive), "--yes")
        assert done.returncode == 13, (name, done.stderr)
        assert shown in done.stderr, name
        assert {path for path in tmp_path.rglob("*") if state not in path.parents} == around, name
        assert not Path("/tmp/evil-of-a-test").exists()
    assert_untouched(scene)
