"""The demonstration: a school made, backed up, broken, restored and undone, in one command."""

import re
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

from tests.cli.test_commands import assert_is_pdf, json_of
from tests.projects import Project


def test_demo(tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path / "school" / "backups")
    document = json_of(project, "demo", "school")
    assert document["verified"] is True
    assert document["backup"]["references"] == {
        "columns": ["finance_payment.receipt", "school_student.photo"],
        "checked": 160,
    }
    (archive,) = project.archives()
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        receipts = [name for name in opened.namelist() if name.endswith(".pdf")]
        assert len(receipts) == 80
        for name in receipts[:5]:
            assert_is_pdf(opened.read(name))
        photo = opened.read("media/photos/élève_0008.jpg")
    assert photo.startswith(b"\xff\xd8\xff\xe0")
    assert photo.endswith(b"\xff\xd9")
    again = project.run("demo", "school")
    assert again.returncode == 15
    assert "hint:" in again.stderr
    assert document["restored"] is True
    text = project.run("demo", "second").stdout
    assert "320 students, 480 payments, 120 receipts, 40 photos" in text
    assert "runner verify demo" in text
    story = [line for line in text.splitlines() if "payments and" in line]
    counted = [re.findall(r"(\d+) (payments|receipts)", line) for line in story]
    whole = [("480", "payments"), ("120", "receipts")]
    assert counted == [counted[0], whole, counted[0], whole]
    assert counted[0] != whole
    with closing(sqlite3.connect(tmp_path / "second" / "school.sqlite3")) as school:
        assert school.execute("SELECT count(*) FROM finance_payment").fetchone() == (480,)
    assert len(list((tmp_path / "second" / "media" / "payment_receipts").rglob("*.*"))) == 120
    assert '\n  cd "a third"\n' in project.run("demo", "a third").stdout
