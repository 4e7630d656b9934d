"""The project: found, read, and laid below its profiles."""

from pathlib import Path

import pytest

from runner.config import check, find_root, load
from runner.errors import ConfigurationInvalid, ExitCode, ProfileUnknown, UsageError
from tests.unit.config.projects import DESTINATION, SQLITE, VALID, checked, complaints, project


def wrong(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as raised:
        find_root(None, folder)
    assert raised.value.exit_code == ExitCode.CONFIGURATION
    return [str(finding) for finding in raised.value.findings]


def test_the_nearest_backup_yml_is_used(tmp_path: Path) -> None:
    outer = project(tmp_path, a=VALID)
    inner = project(tmp_path / "inner", b=VALID)
    deep = inner / "x" / "y"
    deep.mkdir(parents=True)
    assert find_root(None, deep).folder == inner
    assert find_root(None, tmp_path / "profiles").folder == outer
    assert find_root(Path("../backup.yml"), inner).folder == outer
    assert find_root(inner / "backup.yml", outer).names == ("b",)


def test_without_one_there_is_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        find_root(None, tmp_path)
    assert "-c FILE" in str(raised.value.hint)
    with pytest.raises(UsageError):
        find_root(Path("other.yml"), tmp_path)
    with pytest.raises(UsageError):
        find_root(None, tmp_path, ["school", "x.yml"])


def test_files_are_shown_as_one_would_type_them(tmp_path: Path) -> None:
    folder = project(tmp_path / "app", school=VALID.replace("version: 1", "version: 2"))
    assert complaints(folder)[0].startswith("profiles/school.yml:1:10  ")
    (found,) = complaints(folder / "profiles")
    assert found.startswith("school.yml:1:10  ")
    root = find_root(folder / "backup.yml", tmp_path)
    assert check(root, environ={}).problems[0].file == "app/profiles/school.yml"
    (tmp_path / "beside").mkdir()
    root = find_root(folder / "backup.yml", tmp_path / "beside")
    assert check(root, environ={}).problems[0].file == (folder / "profiles" / "school.yml").as_posix()


def test_every_problem_of_backup_yml_is_told(tmp_path: Path) -> None:
    project(
        tmp_path, "version: 1\nprofile: x\ninstance: a/b\nstate: $HOME/x\ndefaults:\n  retentionn: {}\n  media: x\n"
    )
    assert wrong(tmp_path) == [
        "backup.yml:2:1  profile: unknown key",
        "backup.yml:3:11  instance: must be letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
        "backup.yml:4:8  state: `$HOME` is not filled in",
        "backup.yml:6:3  defaults.retentionn: unknown key",
        "backup.yml:7:10  defaults.media: must be a mapping: lines of `key: value`",
    ]


@pytest.mark.parametrize("text", ["profiles: ~/x", "profiles: ${A}", 'profiles: ""', "instance: 5"])
def test_values_that_backup_yml_may_not_hold(tmp_path: Path, text: str) -> None:
    project(tmp_path, f"version: 1\n{text}\n")
    assert len(wrong(tmp_path)) == 1


def test_a_folder_of_profiles_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "backup.yml").write_text("version: 1\n")
    assert wrong(tmp_path) == ["backup.yml:1:1  profiles: there is no folder profiles"]
    (tmp_path / "backup.yml").write_text("version: 1\nprofiles: apps\n")
    assert wrong(tmp_path) == ["backup.yml:2:11  profiles: there is no folder apps"]


def test_a_project_without_profiles_is_not_all_right(tmp_path: Path) -> None:
    assert complaints(project(tmp_path)) == ["backup.yml:1:1  profiles: there is no profile yet"]


def test_profiles_elsewhere_and_with_either_ending(tmp_path: Path) -> None:
    project(tmp_path, "version: 1\nprofiles: apps\n")
    (tmp_path / "apps").mkdir()
    for name in ("a.yml", "b.yaml", ".hidden.yml", "notes.txt"):
        (tmp_path / "apps" / name).write_text(VALID)
    (tmp_path / "apps" / "folder.yml").mkdir()
    assert find_root(None, tmp_path).names == ("a", "b")


def test_names_that_are_none_or_twice(tmp_path: Path) -> None:
    project(tmp_path, school=VALID)
    (tmp_path / "profiles" / "school.yaml").write_text(VALID)
    (tmp_path / "profiles" / "my school.yml").write_text(VALID.replace("db.", "other."))
    assert complaints(tmp_path) == [
        "profiles/my school.yml:1:1  : the file's name is no name for a profile",
        "profiles/school.yml:1:1  : another profile has the same name: profiles/school.yaml",
    ]
    (tmp_path / "profiles" / "school.yaml").rename(tmp_path / "profiles" / "SCHOOL.yaml")
    assert complaints(tmp_path, "school") == [
        "profiles/school.yml:1:1  : another profile has the same name: profiles/SCHOOL.yaml",
    ]
    (tmp_path / "profiles" / "SCHOOL.yaml").rename(tmp_path / "profiles" / "school.yaml")
    assert complaints(tmp_path, "profiles/school.yml") == [
        "profiles/school.yml:1:1  : another profile has the same name: profiles/school.yaml"
    ]


def test_a_mistake_in_the_defaults_stands_where_it_is_written(tmp_path: Path) -> None:
    backup = (
        "version: 1\n"
        "defaults:\n"
        "  archive:\n"
        "    compression: tiny\n"
        "    namee: x\n"
        "  destinations:\n"
        "    - {type: local, pth: backups}\n"
        "  restore: {variants: [full]}\n"
    )
    project(tmp_path, backup, a=f"version: 1\n{SQLITE}", b=f"version: 1\n{SQLITE}".replace("db.", "b."))
    assert complaints(tmp_path) == [
        "backup.yml:4:18  defaults.archive.compression: must be one of `auto`, `store`, `fast`, `small`",
        "backup.yml:5:5  defaults.archive.namee: unknown key",
        "backup.yml:7:21  defaults.destinations[0].pth: unknown key",
        "backup.yml:8:24  defaults.restore.variants[0]: `full` needs `media`, and this profile has none",
    ]


def test_a_profile_wins_over_the_defaults(tmp_path: Path) -> None:
    backup = (
        "version: 1\ninstance: north\nstate: ${STATE:-.state}\n"
        "defaults:\n"
        "  database: {engine: postgresql, host: db.example.org, port: 5433, user: backup}\n"
        "  media: {exclude: ['*.tmp'], url: /media/}\n"
        "  archive: {name: '{instance}_{profile}_{timestamp}.zip', compression: small}\n"
        "  destinations: [{type: local, path: here}, {type: local, path: there}]\n"
    )
    project(
        tmp_path,
        backup,
        one="version: 1\ndatabase: {name: one, port: 5434}\narchive: {compression: store}\n",
        two="version: 1\nmedia: {root: two, exclude: []}\ndestinations: [{type: local, path: x}]\n",
    )
    one, two = checked(tmp_path).profiles
    assert one.instance == "north"
    assert one.state == tmp_path / ".state"
    assert one.archive.name == "north_one_{timestamp}.zip"
    assert one.archive.compression.value == "store"
    assert one.media is None
    assert str(one.database).count("'db.example.org'") == 1
    assert [str(each) for each in one.destinations] == [str(tmp_path / "here"), str(tmp_path / "there")]
    assert two.database is None
    assert two.media is not None
    assert two.media.exclude == ()
    assert two.media.url == "/media/"
    assert [str(each) for each in two.destinations] == [str(tmp_path / "x")]
    assert two.archive.compression.value == "small"


def test_an_unknown_profile_is_a_wrong_command(tmp_path: Path) -> None:
    root = find_root(None, project(tmp_path, school=VALID, shop=VALID.replace("db.", "shop.")))
    with pytest.raises(ProfileUnknown) as raised:
        check(root, ["shcool"], environ={})
    assert raised.value.exit_code == ExitCode.USAGE
    assert str(raised.value.hint) == "did you mean `school`? The profiles are `school`, `shop`"
    with pytest.raises(ProfileUnknown) as raised:
        load(root, "zoo", environ={}, need_variables=True)
    assert str(raised.value.hint) == "the profiles are `school`, `shop`"


def test_a_file_is_checked_in_its_own_project(tmp_path: Path) -> None:
    here = project(tmp_path / "here", school=VALID)
    project(tmp_path / "there", f"version: 1\ndefaults:\n  {DESTINATION}", shop=f"version: 1\n{SQLITE}")
    found = checked(here, "school", "../there/profiles/shop.yml", "profiles/school.yml")
    assert not found.problems
    assert [(each.name, each.state.parent.name) for each in found.profiles] == [("school", "here"), ("shop", "there")]


def test_a_file_outside_any_project_is_checked_alone(tmp_path: Path) -> None:
    (tmp_path / "app" / "profiles").mkdir(parents=True)
    (tmp_path / "app" / "profiles" / "a.yml").write_text(VALID)
    (tmp_path / "b.yml").write_text(VALID)
    a, b = checked(tmp_path, "b.yml", "app/profiles/a.yml").profiles[::-1]
    assert str(a.destinations[0]) == str(tmp_path / "app" / "backups")
    assert str(b.destinations[0]) == str(tmp_path / "backups")
    assert complaints(tmp_path, "c.yml") == ["c.yml:1:1  : there is no such file"]


def test_loading_raises_every_problem_at_once(tmp_path: Path) -> None:
    text = "version: 1\ndatabase: {engine: sqlite, path: x, pth: y}\ndestinations: [{type: local, path: '${B}/x'}]\n"
    root = find_root(None, project(tmp_path, bad=text + "archive: {verify: on}\n", good=text.replace("x, pth: y", "y")))
    with pytest.raises(ConfigurationInvalid) as raised:
        load(root, "bad", environ={}, need_variables=False)
    assert [finding.where for finding in raised.value.findings] == [
        "profiles/bad.yml:2:37  database.pth",
        "profiles/bad.yml:4:19  archive.verify",
    ]
    with pytest.raises(ConfigurationInvalid) as raised:
        load(root, "good", environ={}, need_variables=True)
    (finding,) = raised.value.findings
    assert str(finding) == "profiles/good.yml:3:36  destinations[0].path: the variable `B` is not set"
    assert finding.code == "configuration.variable-unset"
    assert str(load(root, "good", environ={}, need_variables=False).destinations[0]) == str(Path("${B}/x"))
    loaded = load(root, "good", environ={"B": "/mnt"}, need_variables=True)
    assert str(loaded.destinations[0]) == str(Path(tmp_path.anchor, "mnt/x"))


def test_a_backup_yml_stands_for_the_profiles_of_its_project(tmp_path: Path) -> None:
    here = project(tmp_path / "here", one=VALID, two="version: 2\n" + SQLITE + DESTINATION)
    there = project(tmp_path / "there", three="version: 3\n" + SQLITE + DESTINATION)
    assert complaints(here, "backup.yml") == complaints(here)
    assert complaints(here, "one", "backup.yml", "two") == complaints(here)
    assert len(complaints(here, str(there / "backup.yml"))) == 1
    assert complaints(tmp_path, "there/backup.yml") == complaints(tmp_path, "there/profiles/three.yml")


def test_a_profile_may_be_called_backup(tmp_path: Path) -> None:
    folder = project(tmp_path, other="version: 3\n" + SQLITE + DESTINATION)
    (folder / "profiles" / "backup.yml").write_text("version: 2\n" + DESTINATION + "media: {root: media}\n", "utf-8")
    assert complaints(folder, "profiles/backup.yml")
    assert all(each.startswith("profiles/backup.yml:1:10") for each in complaints(folder, "profiles/backup.yml"))
