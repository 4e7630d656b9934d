"""What two profiles of a project may not share."""

from pathlib import Path

from runner.config.check import check
from runner.config.root import find_root
from tests.unit.config.projects import VALID, complaints, project

CLASH = "the profile `one` writes archives of the same name into the same folder"
NAMED = 'archive: {name: "school_{timestamp}.zip"}\n'


def postgresql(extra: str = "", name: str = "school_db", folder: str = "backups") -> str:
    return (
        f"version: 1\ndatabase:\n  engine: postgresql\n  name: {name}\n{extra}"
        f"destinations: [{{type: local, path: {folder}}}]\n"
    )


def test_the_same_database_file(tmp_path: Path) -> None:
    project(tmp_path, one=VALID, two=VALID.replace("db.sqlite3", "./x/../db.sqlite3"))
    assert complaints(tmp_path) == [
        "profiles/one.yml:2:34  database.path: the profile `two` backs up the same database",
        "profiles/two.yml:2:34  database.path: the profile `one` backs up the same database",
    ]


def test_the_same_database_on_a_server(tmp_path: Path) -> None:
    project(
        tmp_path,
        one=postgresql("  host: localhost\n"),
        two=postgresql("  host: 127.0.0.1\n  port: 5432\n"),
        other_port=postgresql("  port: 5433\n"),
        other_name=postgresql(name="school_test"),
        other_host=postgresql("  host: db.example.org\n"),
        not_known=postgresql("  host: ${DB_HOST}\n"),
    )
    assert complaints(tmp_path) == [
        "profiles/one.yml:4:9  database.name: the profile `two` backs up the same database",
        "profiles/two.yml:4:9  database.name: the profile `one` backs up the same database",
    ]


def test_a_media_root_inside_another(tmp_path: Path) -> None:
    one = "version: 1\nmedia: {root: media}\ndestinations: [{type: local, path: backups}]\n"
    project(tmp_path, one=one, two=one.replace("root: media", "root: media/photos"))
    assert complaints(tmp_path) == [
        "profiles/one.yml:2:15  media.root: the profile `two` backs up the same files",
        "profiles/two.yml:2:15  media.root: the profile `one` backs up the same files",
    ]


def test_no_profile_that_clashes_is_called_valid(tmp_path: Path) -> None:
    project(tmp_path, one=VALID, two=VALID, three=VALID, alone=VALID.replace("db.sqlite3", "other.sqlite3"))
    checked = check(find_root(None, tmp_path), environ={})
    assert [profile.name for profile in checked.profiles] == ["alone"]
    assert [(problem.file, problem.line) for problem in checked.problems] == [
        ("profiles/one.yml", 2),
        ("profiles/three.yml", 2),
        ("profiles/two.yml", 2),
    ]


def test_the_same_archive_name_in_the_same_folder(tmp_path: Path) -> None:
    project(
        tmp_path,
        one=postgresql(NAMED, name="one", folder="backups"),
        two=postgresql(NAMED.replace("school", "School"), name="two", folder="x/../backups"),
        three=postgresql(NAMED, name="three", folder="elsewhere"),
        four=postgresql(name="four"),
    )
    assert complaints(tmp_path) == [
        f"profiles/one.yml:5:17  archive.name: {CLASH.replace('one', 'two')}",
        f"profiles/two.yml:5:17  archive.name: {CLASH}",
    ]


def test_a_shared_name_that_the_defaults_give(tmp_path: Path) -> None:
    backup = "version: 1\ndefaults:\n  archive:\n    name: backup_{timestamp}.zip\n"
    project(tmp_path, backup, one=postgresql(name="one"), two=postgresql(name="two"))
    assert complaints(tmp_path) == [f"backup.yml:4:11  defaults.archive.name: {CLASH.replace('one', 'two')}"]
    (tmp_path / "backup.yml").write_text(backup.replace("backup_", "'{profile}_").replace(".zip", ".zip'"))
    assert complaints(tmp_path) == []


def test_one_profile_is_held_against_the_others(tmp_path: Path) -> None:
    project(tmp_path, one=VALID, two=VALID)
    assert complaints(tmp_path, "one") == [
        "profiles/one.yml:2:34  database.path: the profile `two` backs up the same database"
    ]
    assert complaints(tmp_path, "two", "one") == complaints(tmp_path)


def test_the_mistakes_of_the_others_are_their_own(tmp_path: Path) -> None:
    project(tmp_path, broken="version: 1\ndatabase: [\n", one=VALID, wrong=VALID.replace("sqlite,", "sqlit,"))
    assert complaints(tmp_path, "one") == []


def test_what_one_keeps_in_the_media_of_another(tmp_path: Path) -> None:
    one = "version: 1\nmedia: {root: media}\ndestinations: [{type: local, path: backups}]\n"
    two = (
        "version: 1\ndatabase: {engine: sqlite, path: media/x.sqlite3}\n"
        "destinations: [{type: local, path: media/out}]\nrestore: {safety_copy: {path: media/copies}}\n"
    )
    project(tmp_path, one=one, two=two)
    assert complaints(tmp_path, "one") == [
        "profiles/one.yml:2:15  media.root: `media/x.sqlite3` of the profile `two` lies inside"
    ]
    assert complaints(tmp_path, "two") == [
        "profiles/two.yml:2:34  database.path: `media/x.sqlite3` lies inside `media.root` of the profile `one`",
        "profiles/two.yml:3:36  destinations[0].path: `media/out` lies inside `media.root` of the profile `one`",
        "profiles/two.yml:4:31  restore.safety_copy.path: `media/copies` lies inside `media.root` of the profile `one`",
    ]
