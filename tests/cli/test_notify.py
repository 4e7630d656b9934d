"""Who is told how a backup ended, by real servers: on failure, recovery and lateness, and never at a backup's cost."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import Project, sqlite_project
from tests.requirements import requires_program
from tests.servers.mail import LOGIN, MailServer, WebServer, mail_server, web_server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as server:
        yield server


def project_with(folder: Path, notify: str, extra: str = "") -> Project:
    return sqlite_project(folder / "school", rows=10, extra=f"notify: [{notify}]\n{extra}")


def by_mail(server: MailServer, more: str = "") -> str:
    return (
        f"{{email: {{to: [admin@school.example, directrice@school.example], from: backups@school.example, "
        f"host: localhost, port: {server.port}, user: {LOGIN[0]}, password: {{env: SMTP_PASSWORD}}}}{more}}}"
    )


def lose_a_receipt(project: Project) -> Path:
    """A file that the database names; without it there is no backup."""
    receipt = next(project.media.rglob("*.pdf"))
    return receipt.rename(project.folder / receipt.name)


def test_a_mail_of_a_failure_and_one_of_the_recovery(tmp_path: Path, mail: MailServer) -> None:
    project = project_with(tmp_path, by_mail(mail))
    environment = {"SMTP_PASSWORD": LOGIN[1], "SSL_CERT_FILE": str(mail.certificate)}
    assert project.run("apply", "app", environment=environment).returncode == 0
    assert mail.mails == []  # a success is told only to who wants to hear of it
    lost = lose_a_receipt(project)
    assert project.run("apply", "app", environment=environment).returncode == 13
    lost.rename(project.media / "reçus" / lost.name)
    assert project.run("apply", "app", environment=environment).returncode == 0
    assert project.run("apply", "app", environment=environment).returncode == 0
    failure, recovery = mail.mails
    assert mail.encrypted == [True, True]
    assert failure["Subject"] == "app: the backup failed"
    assert failure["To"] == "admin@school.example, directrice@school.example"
    assert failure["Auto-Submitted"] == "auto-generated"
    assert lost.name in failure.get_content()
    assert recovery["Subject"] == "app: the backup works again"
    assert project.archives()[0].name[:15] in recovery.get_content()


def test_a_mail_in_the_language_of_the_profile(tmp_path: Path, mail: MailServer) -> None:
    project = project_with(tmp_path, by_mail(mail), "language: fr\n")
    environment = {"SMTP_PASSWORD": LOGIN[1], "SSL_CERT_FILE": str(mail.certificate)}
    lose_a_receipt(project)
    assert project.run("apply", "app", environment=environment).returncode == 13
    (failure,) = mail.mails
    assert failure["Subject"] == "app\u00a0: la sauvegarde a échoué"


def test_nobody_is_told_of_what_they_did_not_ask_for(tmp_path: Path, mail: MailServer, web: WebServer) -> None:
    wants = f"{by_mail(mail, ', on: [success]')}, {{webhook: {{env: HOOK}}, on: [failure]}}"
    project = project_with(tmp_path, wants)
    environment = {
        "SMTP_PASSWORD": LOGIN[1],
        "SSL_CERT_FILE": str(mail.certificate),
        "HOOK": f"{web.url}/hook?token=geheim",
    }
    assert project.run("apply", "app", environment=environment).returncode == 0
    lose_a_receipt(project)
    assert project.run("apply", "app", environment=environment).returncode == 13
    assert [message["Subject"] for message in mail.mails] == ["app: the backup is made"]
    ((method, path, body),) = web.asked
    assert (method, path) == ("POST", "/hook?token=geheim")
    told = json.loads(body)
    assert (told["event"], told["profile"], told["exit_code"]) == ("failure", "app", 13)
    assert told["findings"][0]["code"] == "integrity.references"


STYLES = {
    "healthchecks": (["/check/start", "/check"], ["/check/start", "/check/fail"]),
    "cronitor": (["/check?state=run", "/check?state=complete"], ["/check?state=run", "/check?state=fail"]),
    "uptime-kuma": (["/check?status=up&msg=success"], ["/check?status=down&msg=failure"]),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_check_hears_of_every_backup(tmp_path: Path, web: WebServer, style: str) -> None:
    project = project_with(tmp_path, f"{{ping: {{env: CHECK}}, style: {style}}}")
    environment = {"CHECK": f"{web.url}/check"}
    assert project.run("apply", "app", environment=environment).returncode == 0
    good, bad = STYLES[style]
    assert [path for _, path, _ in web.asked] == good
    web.asked.clear()
    lose_a_receipt(project)
    assert project.run("apply", "app", environment=environment).returncode == 13
    assert [path for _, path, _ in web.asked] == bad


def test_of_a_backup_that_is_late_somebody_is_told_once(tmp_path: Path, web: WebServer) -> None:
    faketime = str(requires_program("faketime", only="linux"))
    late = 'schedule: {daily: "23:00"}\nalert: {max_age: 36h}\n'
    project = project_with(tmp_path, "{webhook: {env: HOOK}, on: [overdue]}", late)
    environment = {"HOOK": f"{web.url}/hook"}

    def run(moment: str, *arguments: str) -> int:
        return project.run(*arguments, before=(faketime, "-f", f"@{moment}:00"), environment=environment).returncode

    assert run("2026-01-08 12:00", "apply", "app") == 0
    away = project.media.rename(project.folder / "away")
    for moment in ("09 23:00", "10 00:00", "10 01:00", "10 02:00", "10 03:00", "10 04:00"):
        assert run(f"2026-01-{moment}", "run-due") in (0, 14)
    (asked,) = web.asked
    assert json.loads(asked[2])["event"] == "overdue"
    away.rename(project.media)
    assert run("2026-01-10 23:00", "run-due") == 0
    project.media.rename(away)
    for moment in ("11 23:00", "12 00:00", "12 01:00", "12 12:00"):
        run(f"2026-01-{moment}", "run-due")
    assert len(web.asked) == 2  # after a good one, it is news again


def test_late_is_also_when_there_is_none_at_all_and_it_is_told_until_somebody_hears(
    tmp_path: Path, web: WebServer
) -> None:
    project = project_with(tmp_path, "{webhook: {env: HOOK}, on: [overdue]}", "alert: {max_age: 36h}\n")
    environment = {"HOOK": f"{web.url}/hook"}
    web.status = 500
    first = project.run("run-due", environment=environment)
    assert "the service answered 500" in first.stderr
    web.status = 200
    for _ in range(3):
        assert project.run("run-due", environment=environment).returncode == 0
    assert [json.loads(body)["event"] for _, _, body in web.asked] == ["overdue", "overdue"]


@pytest.mark.parametrize("address", ["https://[wrong/ping", "nonsense", "http://127.0.0.1:1/\udce9"])
def test_an_address_that_is_none_stops_no_backup(tmp_path: Path, address: str) -> None:
    project = project_with(tmp_path, "{ping: {env: CHECK}}, {webhook: {env: CHECK}, on: [success]}")
    done = project.run("apply", "app", environment={"CHECK": address})
    assert done.returncode == 3, done.stderr
    assert len(project.archives()) == 1
    assert "wrong" not in done.stderr


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path, mail: MailServer) -> None:
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("names are text here")
    project = project_with(tmp_path, by_mail(mail, ", on: [warning]"))
    os.mkfifo(os.fsencode(project.media) + b"/re\xe7u.fifo")
    environment = {"SMTP_PASSWORD": LOGIN[1], "SSL_CERT_FILE": str(mail.certificate)}
    done = project.run("apply", "app", environment=environment)
    assert done.returncode == 3, done.stderr
    (message,) = mail.mails
    assert "\\udce7u.fifo" in message.get_content()


def test_what_one_person_does_is_told_to_nobody_else(tmp_path: Path, web: WebServer) -> None:
    project = project_with(tmp_path, "{webhook: {env: HOOK}, on: [success, failure]}, {ping: {env: HOOK}}")
    environment = {"HOOK": f"{web.url}/hook"}
    (tmp_path / "usb").mkdir()
    for arguments in (("--variant", "db-only"), ("--dest", str(tmp_path / "usb")), ("--dest", str(tmp_path / "none"))):
        project.run("apply", "app", *arguments, environment=environment)
    assert web.asked == []


def test_a_run_that_another_one_holds_up_is_not_told(tmp_path: Path, web: WebServer) -> None:
    if sys.platform == "win32":
        pytest.skip("fcntl is not there")
    import fcntl

    project = project_with(tmp_path, "{webhook: {env: HOOK}}, {ping: {env: HOOK}}")
    (project.folder / ".runner" / "app").mkdir(parents=True)
    with (project.folder / ".runner" / "app" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert project.run("apply", "app", environment={"HOOK": f"{web.url}/hook"}).returncode == 11
    assert web.asked == []
    assert not (project.folder / ".runner" / "app" / "logs").exists()


def test_a_service_that_is_down_fails_no_backup_and_shows_no_secret(tmp_path: Path, web: WebServer) -> None:
    wants = (
        "{webhook: {env: HOOK}, on: [success]}, {ping: {env: CHECK}}, {url: {env: APPRISE}, on: [success]}, "
        "{email: {to: [a@b.example], from: a@b.example, host: localhost, port: 1}, on: [success]}"
    )
    project = project_with(tmp_path, wants)
    web.status = 503
    environment = {
        "HOOK": f"{web.url}/geheim",
        "CHECK": "http://127.0.0.1:1/geheim",
        "APPRISE": "nonsense://geheim",
    }
    done = project.run("-v", "apply", "app", environment=environment)
    assert done.returncode == 3, done.stderr
    assert len(project.archives()) == 1
    assert "the service answered 503" in done.stderr
    assert "webhook, environment variable HOOK" in done.stderr
    assert "geheim" not in done.stdout + done.stderr
    tested = project.run("notify", "test", "app", environment=environment)
    assert tested.returncode == 14
    assert tested.stderr.count("error: ") == 4
    assert "geheim" not in tested.stdout + tested.stderr


def test_a_secret_that_is_not_there_is_a_warning_as_well(tmp_path: Path) -> None:
    project = project_with(tmp_path, "{webhook: {env: NOT_THERE}, on: [success]}")
    done = project.run("apply", "app")
    assert done.returncode == 3
    assert "NOT_THERE" in done.stderr


def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, mail: MailServer) -> None:
    project = project_with(tmp_path, by_mail(mail, ", on: [success]"))
    done = project.run("apply", "app", environment={"SMTP_PASSWORD": LOGIN[1]})
    assert done.returncode == 3
    assert "certificate" in done.stderr.lower()
    assert mail.mails == []


def test_a_wrong_password_is_told_without_it(tmp_path: Path, mail: MailServer) -> None:
    project = project_with(tmp_path, by_mail(mail))
    environment = {"SMTP_PASSWORD": "geheim", "SSL_CERT_FILE": str(mail.certificate)}
    done = project.run("notify", "test", "app", environment=environment)
    assert done.returncode == 14
    assert "refused the login (535)" in done.stderr
    assert "geheim" not in done.stderr


def test_a_server_without_encryption_gets_nothing_unless_it_is_said(tmp_path: Path) -> None:
    with mail_server(tmp_path, encrypts=False) as server:
        plain = f"{{email: {{to: [a@b.example], from: a@b.example, host: localhost, port: {server.port}}}}}"
        project = project_with(tmp_path, plain)
        refused = project.run("notify", "test", "app")
        assert refused.returncode == 14
        assert "STARTTLS" in refused.stderr
        profile = project.folder / "profiles" / "app.yml"
        text = profile.read_text("utf-8")
        profile.write_text(text.replace("host: localhost,", "host: localhost, security: none,"), "utf-8")
        sent = project.run("notify", "test", "app")
        assert sent.returncode == 0, sent.stderr
        assert "sent: e-mail to a@b.example" in sent.stdout
        (message,) = server.mails
        assert "No backup was made" in message.get_content()


def test_a_backup_that_does_not_begin_is_told_too(tmp_path: Path, web: WebServer) -> None:
    project = project_with(tmp_path, "{webhook: {env: HOOK}}")
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8")
    profile.write_text(text.replace("school.sqlite3", '"${SCHOOL_FOLDER}/school.sqlite3"'), "utf-8")
    done = project.run("apply", "app", environment={"HOOK": f"{web.url}/hook"})
    assert done.returncode == 10
    ((_, _, body),) = web.asked
    assert "SCHOOL_FOLDER" in body.decode()


def test_who_tells_nobody_is_told_so(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=1)
    done = project.run("notify", "test", "app")
    assert done.returncode == 15
    assert "tells nobody" in done.stderr


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ("{on: [failure]}", "must name one way to tell somebody: 0 were found"),
        ("{webhook: {env: A}, url: {env: B}}", "2 were found"),
        ("{ping: {env: A}, on: [failure]}", "a `ping` hears of every backup"),
        ("{url: {env: A}, style: cronitor}", "`style` is for `ping`"),
        ("{webhook: https://hooks.example/geheim}", "notify[0].webhook"),
        ("{email: {to: [Admin <a@b.example>], from: a@b.example, host: h}}", "must be one address"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, notify: str, says: str) -> None:
    done = project_with(tmp_path, notify).run("validate", "app")
    assert done.returncode == 10
    assert says in done.stdout
    assert "geheim" not in done.stdout
    assert re.search(r"app\.yml:\d+:\d+ ", done.stdout)
