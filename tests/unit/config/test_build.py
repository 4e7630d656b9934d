"""From a document to a profile: every key arrives, and what is left out has its default."""

import os
from pathlib import Path

from runner.model.profile import (
    AdminConfig,
    ArchiveConfig,
    Compression,
    HooksConfig,
    LocalDestination,
    MediaConfig,
    PostgresqlConfig,
    Profile,
    Reference,
    RestoreConfig,
    SafetyCopyConfig,
    SqliteConfig,
    Variant,
)
from runner.model.secret import CommandSecret, EnvironmentSecret, FileSecret
from tests.unit.config.projects import VALID, checked, project

EVERYTHING = """\
version: 1
description: Everything
database:
  engine: postgresql
  host: ${DB_HOST:-db.example.org}
  port: 0x1538
  name: school_db
  user: ${DB_USER}
  password: {env: SCHOOL_DB_PASSWORD}
  sslmode: verify-full
  sslrootcert: ~/root.crt
  tools: {bin: /usr/lib/postgresql/16/bin}
  exclude_table_data: [django_session, silk_request]
  format: plain
  maintenance: template1
media:
  root: ../media
  exclude: ["*.tmp"]
  required: [payment_receipts]
  references: [{table: finance_payment, column: receipt}]
  url: /media/
  on_missing_reference: warn
archive: {name: "{profile}-{timestamp}.zip", compression: small, verify: false}
destinations: [{type: local, path: "${BACKUPS}/x"}, {type: local, path: ~/y}]
restore:
  variants: [media-only]
  safety_copy: {path: copies, keep_last: 5, database: rename}
  admin: {user: postgres, password: {command: [pass, show, pg]}}
hooks:
  before_apply: [[systemctl, stop, school], [sync]]
  after_apply: [[systemctl, start, school, ""]]
  before_restore: [[a, "b c"]]
  after_restore: [["$HOME", "${X:-y}", "~"]]
  on_error: [[tell]]
  timeout: 60
jobs: 3
priority: low
"""


def only(folder: Path, **environ: str) -> Profile:
    found = checked(folder, environ=environ)
    assert not found.problems
    return found.profiles[0]


def test_every_key_arrives(tmp_path: Path) -> None:
    folder = project(tmp_path / "app", school=EVERYTHING)
    home, mount = tmp_path / "home", tmp_path / "mnt"
    profile = only(folder, DB_USER="amina", BACKUPS=str(mount), HOME=str(home), USERPROFILE=str(home))
    assert profile == Profile(
        name="school",
        source=folder / "profiles" / "school.yml",
        instance="school",
        state=folder / ".runner",
        project=folder,
        description="Everything",
        database=PostgresqlConfig(
            name="school_db",
            host="db.example.org",
            port=5432,
            user="amina",
            password=EnvironmentSecret("SCHOOL_DB_PASSWORD"),
            sslmode="verify-full",
            sslrootcert=home / "root.crt",
            tools_bin=Path(tmp_path.anchor, "usr/lib/postgresql/16/bin"),
            exclude_table_data=("django_session", "silk_request"),
            format="plain",
            maintenance="template1",
        ),
        media=MediaConfig(
            root=tmp_path / "media",
            exclude=("*.tmp",),
            required=("payment_receipts",),
            references=(Reference("finance_payment", "receipt"),),
            url="/media/",
            on_missing_reference="warn",
        ),
        archive=ArchiveConfig("school-{timestamp}.zip", Compression.SMALL, verify=False),
        destinations=(LocalDestination(mount / "x"), LocalDestination(home / "y")),
        restore=RestoreConfig(
            variants=(Variant.MEDIA_ONLY,),
            safety_copy=SafetyCopyConfig(folder / "copies", 5, "rename"),
            admin=AdminConfig("postgres", CommandSecret(("pass", "show", "pg"))),
        ),
        hooks=HooksConfig(
            before_apply=(("systemctl", "stop", "school"), ("sync",)),
            after_apply=(("systemctl", "start", "school", ""),),
            before_restore=(("a", "b c"),),
            after_restore=(("$HOME", "${X:-y}", "~"),),
            on_error=(("tell",),),
            timeout_seconds=60,
            folder=folder,
        ),
        jobs=3,
        priority="low",
    )


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    folder = project(tmp_path, shop=VALID)
    assert only(folder) == Profile(
        name="shop",
        source=folder / "profiles" / "shop.yml",
        instance="shop",
        state=folder / ".runner",
        project=folder,
        database=SqliteConfig(folder / "db.sqlite3"),
        archive=ArchiveConfig("shop_backup_{timestamp}.zip"),
        destinations=(LocalDestination(folder / "backups"),),
        restore=RestoreConfig((Variant.DB_ONLY,), SafetyCopyConfig(folder / "backups_local", 3)),
    )


def test_the_safety_copy_of_a_database_may_be_said_to_be_the_default(tmp_path: Path) -> None:
    text = VALID + "restore: {safety_copy: {database: dump}}\nhooks: {timeout: 7}\n"
    profile = only(project(tmp_path, shop=text))
    assert profile.restore.safety_copy.database == "dump"
    assert profile.hooks == HooksConfig(timeout_seconds=7, folder=tmp_path)


def test_variants_are_all_that_the_profile_serves(tmp_path: Path) -> None:
    profile = only(project(tmp_path, shop=VALID + "media: {root: media}\n"))
    assert profile.restore.variants == (Variant.FULL, Variant.DB_ONLY, Variant.MEDIA_ONLY)


def test_unset_variables_stay_and_are_named(tmp_path: Path) -> None:
    home = "USERPROFILE" if os.name == "nt" else "HOME"
    found = checked(project(tmp_path, school=EVERYTHING))
    assert [(each.key, str(each.message)) for each in found.unset] == [
        ("database.user", "the variable `DB_USER` is not set"),
        ("database.sslrootcert", f"the variable `{home}` is not set"),
        ("destinations[0].path", "the variable `BACKUPS` is not set"),
        ("destinations[1].path", f"the variable `{home}` is not set"),
    ]
    (profile,) = found.profiles
    assert isinstance(profile.database, PostgresqlConfig)
    assert profile.database.user == "${DB_USER}"
    assert profile.destinations[0].path == Path("${BACKUPS}/x")


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    text = EVERYTHING.replace("{env: SCHOOL_DB_PASSWORD}", "{file: secrets/db}").replace(
        "tools: {bin: /", "tools: {bin: ./"
    )
    profile = only(project(tmp_path, school=text), DB_USER="a", BACKUPS="b", HOME="/h", USERPROFILE="/h")
    assert isinstance(profile.database, PostgresqlConfig)
    assert profile.database.password == FileSecret(tmp_path / "secrets" / "db")
    assert profile.database.tools_bin == tmp_path / "usr/lib/postgresql/16/bin"


def test_tools_may_be_null(tmp_path: Path) -> None:
    text = EVERYTHING.replace("/usr/lib/postgresql/16/bin", "null")
    profile = only(project(tmp_path, school=text), DB_USER="a", BACKUPS="b", HOME="/h", USERPROFILE="/h")
    assert isinstance(profile.database, PostgresqlConfig)
    assert profile.database.tools_bin is None
