"""What a person and a program get from each command: output, exit code, JSON."""

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner import config
from runner.events import silent
from runner.planning import plan_apply
from runner.workflow.apply import apply
from tests.projects import Project, sqlite_project


def json_of(project: Project, *arguments: str) -> dict[str, Any]:
    """The one object on stdout, whose common part is right."""
    done = project.run(*arguments, "--format", "json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["format_version"] == 1
    assert document["exit_code"] == done.returncode
    status = {0: "ok", 3: "warning"}.get(done.returncode, "error")
    assert document["status"] == status
    for finding in (*document["errors"], *document["warnings"]):
        assert set(finding) == {"code", "message", "where", "hint"}
    return document


def flip(archive: Path, place: int) -> None:
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)


def test_apply_says_what_it_did(project: Project) -> None:
    done = project.run("apply", "app")
    assert done.returncode == 0
    (archive,) = project.archives()
    assert archive.name in done.stdout
    assert "every byte verified" in done.stdout
    assert "4 checked, 0 missing" in done.stdout
    assert "error" not in done.stderr


def test_apply_in_json(project: Project) -> None:
    backup = json_of(project, "apply", "app")["backup"]
    (archive,) = project.archives()
    assert backup["placed"] == [
        {
            "destination": str(project.out),
            "path": str(archive),
            "size_bytes": archive.stat().st_size,
            "verified": True,
        }
    ]
    assert backup["database"]["rows"] == 40
    assert backup["references"]["checked"] == 4


def test_a_dry_run_touches_nothing(project: Project) -> None:
    before = sorted(project.folder.rglob("*"))
    done = project.run("apply", "app", "--dry-run")
    assert done.returncode == 0
    assert "1. take the lock" in done.stdout
    plan = json_of(project, "apply", "app", "--dry-run")["plan"]
    assert [step["number"] for step in plan["steps"]] == list(range(1, len(plan["steps"]) + 1))
    assert sorted(project.folder.rglob("*")) == before


def test_a_dry_run_needs_no_server_no_secret_and_no_variable(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    (project.folder / "profiles" / "app.yml").write_text(
        "version: 1\n"
        "database: {engine: postgresql, host: nowhere.invalid, name: x, password: {env: UNSET_SECRET}}\n"
        "media: {root: '${UNSET_MEDIA}'}\n"
        "destinations: [{type: local, path: '${UNSET_PLACE}/backups'}]\n",
        "utf-8",
    )
    done = project.run("apply", "app", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "${UNSET_MEDIA}" in done.stdout
    needed = json_of(project, "apply", "app")
    assert needed["exit_code"] == 10
    assert len(needed["errors"]) == 2
    assert all("not set" in error["message"] for error in needed["errors"])


@pytest.mark.parametrize(("variant", "database", "media"), [("db-only", 1, 0), ("media-only", 0, 1), ("full", 1, 1)])
def test_variants(project: Project, variant: str, database: int, media: int) -> None:
    backup = json_of(project, "apply", "app", "--variant", variant)["backup"]
    assert (backup["database"] is not None, backup["media"] is not None) == (bool(database), bool(media))
    with zipfile.ZipFile(project.archives()[0]) as opened:
        names = opened.namelist()
    assert any(name.startswith("db_sqlite_") for name in names) == bool(database)
    assert ("media/" in names) == bool(media)
    assert project.run("verify", "app").returncode == 0


def test_a_variant_that_the_profile_cannot_make_is_refused(project: Project) -> None:
    profile = project.folder / "profiles" / "app.yml"
    lines = [line for line in profile.read_text("utf-8").splitlines() if not line.startswith("media:")]
    profile.write_text("\n".join(lines), "utf-8")
    done = project.run("apply", "app", "--variant", "full")
    assert done.returncode == 15
    assert "--variant db-only" in done.stderr


def test_another_destination_for_once(project: Project, tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    assert project.run("apply", "app", "--dest", str(tmp_path / "usb")).returncode == 0
    assert len(list((tmp_path / "usb").glob("*.zip"))) == 1
    assert project.archives() == []
    missing = project.run("apply", "app", "--dest", str(tmp_path / "nowhere"))
    assert missing.returncode == 12
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("place", ["media", "media/reçus", "."])
def test_another_destination_follows_the_rule_for_all(project: Project, place: str) -> None:
    """In the media root it would be in the next backup; a restore would swap it away."""
    for arguments in (["--dry-run"], []):
        done = project.run("apply", "app", "--dest", place, *arguments)
        assert done.returncode == 2
        assert "`media.root`" in done.stderr
        assert "hint:" in done.stderr
    assert list(project.folder.rglob("*.zip")) == []


def test_all_of_no_profiles_is_not_done(project: Project) -> None:
    (project.folder / "profiles" / "app.yml").unlink()
    for arguments in (["--dry-run"], []):
        document = json_of(project, "apply", "--all", *arguments)
        assert document["exit_code"] == 10
        assert [error["message"] for error in document["errors"]] == ["there is no profile yet"]


def test_all_profiles_and_the_first_failing_code(project: Project) -> None:
    profiles = project.folder / "profiles"
    text = (profiles / "app.yml").read_text("utf-8")
    other = text.replace("school.sqlite3", "missing.sqlite3").replace("root: media", "root: other")
    (profiles / "broken.yml").write_text(other, "utf-8")
    (project.folder / "other").mkdir()
    document = json_of(project, "apply", "--all")
    assert document["exit_code"] == 14
    assert [(result["profile"], result["exit_code"]) for result in document["results"]] == [("app", 0), ("broken", 14)]
    assert len(project.archives()) == 1


def test_a_destination_out_of_reach_is_a_warning_when_another_is_there(project: Project, tmp_path: Path) -> None:
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace("destinations: [", "destinations: [{type: local, path: unplugged}, ")
    profile.write_text(text, "utf-8")
    document = json_of(project, "apply", "app")
    assert document["exit_code"] == 3
    assert "unplugged" in document["warnings"][0]["where"]
    assert len(project.archives()) == 1


def test_missing_files_are_named(project: Project) -> None:
    receipts = sorted((project.media / "reçus").iterdir())
    for receipt in receipts[:2]:
        receipt.unlink()
    document = json_of(project, "apply", "app")
    assert document["exit_code"] == 13
    assert [error["message"] for error in document["errors"][1:]] == [
        f"`reçus/{receipt.name}` is not there" for receipt in receipts[:2]
    ]
    assert project.archives() == []
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("root: media", "root: media, on_missing_reference: warn"), "utf-8"
    )
    document = json_of(project, "apply", "app")
    assert document["exit_code"] == 3
    assert len(document["backup"]["references"]["missing"]) == 2
    assert "missing: reçus/" in project.run("show", "app").stdout


def test_many_missing_files_are_counted_in_text_and_listed_in_json(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=400)
    shutil.rmtree(project.media / "reçus")
    (project.media / "other").write_text("x", "utf-8")
    done = project.run("apply", "app")
    assert done.returncode == 13
    assert done.stderr.count("is not there") == 20
    assert "and 20 more" in done.stderr
    assert len(json_of(project, "apply", "app")["errors"]) == 41


def test_list_is_newest_first_and_says_what_was_verified(project: Project) -> None:
    for _ in range(3):
        project.apply()
    archives = json_of(project, "list", "app")["archives"]
    assert len(archives) == 3
    made = [(archive["created_at"], len(archive["name"]), archive["name"]) for archive in archives]
    assert made == sorted(made, reverse=True)
    assert all(archive["verified_at"] for archive in archives)
    lines = project.run("list", "app").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [archive["name"] for archive in archives]


def test_list_marks_what_is_not_to_be_trusted(project: Project) -> None:
    good = project.apply()
    damaged = project.out / good.name.replace("app_backup_2", "app_backup_1")
    damaged.write_bytes(good.read_bytes()[:-100])
    (project.out / "unrelated.zip").write_bytes(b"no zip at all")
    (project.folder / "backup.yml").write_text("version: 1\ninstance: elsewhere\n", "utf-8")
    marks = {archive["name"]: archive["marks"] for archive in json_of(project, "list", "app")["archives"]}
    assert marks == {good.name: ["foreign"], damaged.name: ["damaged"]}
    assert project.run("show", "app").returncode == 13
    (project.folder / "backup.yml").write_text("version: 1\n", "utf-8")
    assert good.name in project.run("show", "app").stdout


def test_an_archive_dated_in_the_future_is_never_the_latest(project: Project) -> None:
    before = project.apply().name
    profile = config.load(config.find_root(None, project.folder), "app", environ={}, need_variables=True)
    apply(plan_apply(profile, None, datetime.now().astimezone() + timedelta(days=400)), silent)
    archives = json_of(project, "list", "app")["archives"]
    assert archives[0]["marks"] == ["future"]
    assert json_of(project, "show", "app")["archive"] == before


def test_show_counts_folders_and_finds_files(project: Project) -> None:
    project.apply()
    document = json_of(project, "show", "app", "--files")
    assert document["folders"] == {
        "reçus": {"files": 4, "bytes": sum(f.stat().st_size for f in project.media.rglob("*.pdf"))}
    }
    assert [file["path"] for file in document["files"]] == ["reçus", *(f"reçus/{n:05d}.pdf" for n in (10, 20, 30, 40))]
    matching = json_of(project, "show", "app", "--match", "reçus/*2*")
    assert [file["path"] for file in matching["files"]] == ["reçus/00020.pdf"]
    text = project.run("show", "app", "--match", "*.pdf").stdout
    assert "4 files match *.pdf" in text
    assert "finance_payment" in text


def test_verify_finds_damage_and_names_it(project: Project) -> None:
    archive = project.apply()
    assert "every byte is as it was written" in project.run("verify", "app").stdout
    assert json_of(project, "verify", str(archive))["intact"] is True
    flip(archive, archive.read_bytes().index(b"00010.pdf") + 40)
    document = json_of(project, "verify", "app", archive.name)
    assert document["exit_code"] == 13
    assert "media/reçus/" in document["errors"][1]["message"]
    assert "places that differ: 1" in project.run("verify", "app").stderr
    listed = json_of(project, "list", "app")["archives"][0]
    assert (listed["verified_at"], listed["marks"]) == (None, ["damaged"])


@pytest.mark.parametrize(
    "arguments", [["show", "app", "nope.zip"], ["verify", "nowhere/a.zip"], ["list", "ap"], ["show", "app"]]
)
def test_what_does_not_exist(project: Project, arguments: list[str]) -> None:
    document = json_of(project, *arguments)
    assert document["exit_code"] == 2
    assert document["errors"][0]["hint"]


def test_a_mistyped_command_and_option(project: Project) -> None:
    assert "Did you mean 'apply'?" in project.run("aply").stderr
    assert project.run("apply", "app", "--nope").returncode == 2
    assert json_of(project, "apply")["errors"][0]["code"] == "usage"


def make_legacy(path: Path, database: str, manifest: bytes | None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(database, "-- PostgreSQL database dump\n" * 50)
        archive.writestr("media/payment_receipts/2026/01/benali.pdf", b"%PDF-1.4")
        if manifest is not None:
            archive.writestr("manifest.json", manifest)
    return path


@pytest.mark.parametrize(
    "encode",
    [str.encode, lambda text: text.encode("utf-16"), lambda text: text.encode("utf-8-sig"), None],
    ids=["utf-8", "utf-16", "bom", "no manifest"],
)
def test_archives_of_the_old_scripts(project: Project, encode: Callable[[str], bytes] | None) -> None:
    claims = json.dumps({"project": "school_management", "created_at": "2026-01-08T11:03:53", "django_version": "5.0"})
    name = "app_backup_20260108_110353.zip"
    legacy = make_legacy(project.out / name, "db_postgres_20260108_110353.sql", encode(claims) if encode else None)
    listed = json_of(project, "list", "app")["archives"]
    assert [(archive["name"], archive["marks"]) for archive in listed] == [(name, ["legacy"])]
    shown = json_of(project, "show", "app")
    assert shown["exit_code"] == 3
    assert shown["legacy"] is True
    assert shown["manifest"]["database"]["engine"] == "postgresql"
    assert shown["folders"] == {"payment_receipts": {"files": 1, "bytes": 8}}
    if encode:
        assert shown["manifest"]["project"] == "school_management"
    assert "no checksums" in project.run("show", "app").stdout
    verified = json_of(project, "verify", str(legacy))
    assert (verified["exit_code"], verified["legacy"]) == (3, True)
    flip(legacy, legacy.read_bytes().index(b"media/") + 45)
    assert json_of(project, "verify", str(legacy))["exit_code"] == 13
    new = project.apply()
    assert json_of(project, "show", "app")["archive"] == new.name


def test_validate(project: Project) -> None:
    assert project.run("validate").stdout == "app: valid\n"
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace("path: school", "pth: school"), "utf-8")
    done = project.run("validate")
    assert done.returncode == 10
    assert done.stdout.startswith("profiles/app.yml:2:28  database.pth: unknown key\n  hint: did you mean `path`?\n")
    assert done.stderr == ""
    assert project.run("validate", "--format", "github").stdout.startswith(
        "::error file=profiles/app.yml,line=2,col=28::database.pth: unknown key%0Ahint: did you mean `path`?"
    )
    document = json_of(project, "validate")
    assert document["problems"][0]["line"] == 2
    assert project.run("apply", "app").returncode == 10


def test_validate_tells_what_is_wrong_with_backup_yml(project: Project) -> None:
    (project.folder / "backup.yml").write_text("version: 1\nprofils: x\n", "utf-8")
    done = project.run("validate")
    assert done.returncode == 10
    assert done.stdout.startswith("backup.yml:2:1  profils: unknown key\n  hint: did you mean `profiles`?")


@pytest.mark.parametrize("kind", ["profile", "backup", "manifest"])
def test_schemas(project: Project, kind: str) -> None:
    done = project.run("schema", kind)
    assert json.loads(done.stdout)["$id"] == f"urn:runner:schema:{kind}:1"


@pytest.mark.parametrize(
    "arguments",
    [["apply", "app"], ["apply", "app", "--dry-run"], ["list", "app"], ["show", "app", "--files"], ["verify", "app"]],
    ids=" ".join,
)
def test_a_narrow_console_in_cp1252(project: Project, arguments: list[str]) -> None:
    (project.media / "日本語 → ✓.txt").write_text("x", "utf-8")
    project.apply()
    environment = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "COLUMNS": "40"}
    done = project.run(*arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if "--files" in arguments:
        assert "\\u65e5" in done.stdout
    if arguments[0] != "show":
        words = [line for line in done.stdout.splitlines() if len(line) > 40 and " " in line.strip()]
        assert all("/" in line for line in words), words


def test_findings_fit_a_narrow_console(project: Project) -> None:
    (project.media / "reçus" / "00010.pdf").unlink()
    done = project.run("apply", "app", environment={"PYTHONIOENCODING": "cp1252", "COLUMNS": "40"})
    assert done.returncode == 13
    assert all(len(line) <= 40 or " " not in line.strip() for line in done.stderr.splitlines() if "error" in line)


def assert_is_pdf(content: bytes) -> None:
    """The cross-reference table points at the objects."""
    start = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    lines = content[start:].split(b"\n")
    assert lines[0] == b"xref"
    for number, line in enumerate(lines[3:8], 1):
        assert content[int(line[:10]) :].startswith(b"%d 0 obj" % number)
