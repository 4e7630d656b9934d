"""The text of a first profile means what was decided, whatever the names are."""

import string
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner import config
from runner.model.profile import PostgresqlConfig, SqliteConfig
from runner.workflow.beginning import name_for
from runner.workflow.profile_text import (
    Beginning,
    FromDjango,
    FromServer,
    FromSqlite,
    Source,
    backup_text,
    password_variable,
    profile_text,
    scalar,
)

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)
NAMES = st.text(string.ascii_letters + "éà $#:,'\"&*!|>%@`{}[]-?~.0123456789", min_size=1).filter(
    lambda name: name.strip(" .") and "%" not in name
)


@given(TEXTS)
def test_a_text_stays_itself_in_a_line_and_in_braces(text: str) -> None:
    assert yaml.safe_load(f"a: {scalar(text)}") == {"a": text}
    assert yaml.safe_load(f"{{a: {scalar(text)}, b: 1}}") == {"a": text, "b": 1}


@given(NAMES, NAMES, NAMES)
def test_a_profile_is_valid_and_says_what_was_decided(name: str, media: str, place: str) -> None:
    folder = Path("/srv/app")
    beginning = Beginning(folder, "app", FromSqlite(folder / name, folder / "m" / media), folder / "b" / place)
    data = yaml.safe_load(profile_text(beginning))
    assert data["database"]["path"].removeprefix("./").replace("$$", "$") == name
    assert data["media"]["root"].replace("$$", "$") == f"m/{media}"
    assert data["destinations"] == [{"type": "local", "path": f"b/{place}".replace("$", "$$")}]


def loaded(folder: Path, beginning: Beginning) -> config.Checked:
    (folder / "profiles").mkdir(parents=True)
    (folder / "backup.yml").write_text(backup_text(), "utf-8")
    (folder / "profiles" / f"{beginning.name}.yml").write_text(profile_text(beginning), "utf-8")
    return config.check(config.find_root(None, folder), environ={"HOME": str(Path.home())})


def test_every_source_makes_a_valid_profile(tmp_path: Path) -> None:
    server = PostgresqlConfig(
        "école $1", "db.example", 5433, "o'neil", sslmode="verify-full", sslrootcert=Path("/c.crt")
    )
    sources: tuple[Source, ...] = (
        FromDjango(tmp_path / "d" / "manage.py", "config.settings", Path("/usr/bin/python3"), "default"),
        FromDjango(tmp_path / "d" / "manage.py", has_media=False, has_sessions=True),
        FromSqlite(tmp_path / "d" / "db.sqlite3"),
        FromServer(server, "SCHOOL_DB_PASSWORD", Path("/srv/media")),
        FromServer(PostgresqlConfig("school")),
    )
    for number, source in enumerate(sources):
        folder = tmp_path / str(number)
        checked = loaded(folder, Beginning(folder, "school", source, folder / "backups"))
        assert [str(problem.message) for problem in checked.problems] == []
        (profile,) = checked.profiles
        if isinstance(source, FromSqlite):
            assert profile.database == SqliteConfig(source.path)
        if isinstance(source, FromServer) and source.password is not None:
            assert isinstance(profile.database, PostgresqlConfig)
            assert (profile.database.name, profile.database.user) == ("école $1", "o'neil")


def test_names_are_made_of_what_a_profile_may_be_called() -> None:
    assert name_for(Path("/x/École du Nord (2)")) == "ecole_du_nord_2"
    assert name_for(Path("/x/学校")) == "application"
    assert name_for(Path("/")) == "application"
    assert password_variable("school-2.fr") == "SCHOOL_2_FR_DB_PASSWORD"
    assert password_variable("2nd") == "ND_DB_PASSWORD"
