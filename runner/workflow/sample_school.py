"""A small school: a SQLite database as Django makes them, and the files its users uploaded. The same at every run.

For the demonstration and for whoever wants to try a profile; nothing in it is about a real person.
"""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.workflow.sample_files import receipt_pdf, square_jpeg

_SEED = 20260108
_STUDENTS = 320
_PAYMENTS = 480
_FIRST = [
    "Amélie",
    "Benoît",
    "Chloé",
    "Désiré",
    "Élodie",
    "Fatou",
    "François",
    "Gaëlle",
    "Hélène",
    "Inès",
    "Joséphine",
    "Koffi",
    "Loïc",
    "Noël",
    "Océane",
    "Zoé",
]
_LAST = [
    "Abéga",
    "Bâ",
    "Camara",
    "Cissé",
    "Dembélé",
    "Diallo",
    "Étoundi",
    "Françon",
    "Guèye",
    "Koné",
    "Lefèvre",
    "N'Diaye",
    "Œuvrard",
    "Sané",
    "Touré",
    "Zinsou",
]
_LEVELS = ("6ème", "5ème", "4ème", "3ème", "2nde", "1ère", "Tle")

_TABLES = """
CREATE TABLE django_migrations (id integer PRIMARY KEY AUTOINCREMENT, app varchar(255) NOT NULL,
    name varchar(255) NOT NULL, applied datetime NOT NULL);
CREATE TABLE school_student (id integer PRIMARY KEY AUTOINCREMENT, first_name varchar(80) NOT NULL,
    last_name varchar(80) NOT NULL, level varchar(16) NOT NULL, photo varchar(200) NOT NULL);
CREATE TABLE finance_payment (id integer PRIMARY KEY AUTOINCREMENT,
    student_id integer NOT NULL REFERENCES school_student (id), amount decimal NOT NULL, paid_on date NOT NULL,
    receipt varchar(255) NOT NULL);
CREATE INDEX finance_payment_student ON finance_payment (student_id);
"""

_MIGRATIONS = (
    ("auth", "0001_initial"),
    ("school", "0001_initial"),
    ("finance", "0001_initial"),
    ("finance", "0007_payment_receipt"),
)


@dataclass(frozen=True, slots=True)
class SampleSchool:
    """What was made, in numbers."""

    students: int
    payments: int
    receipts: int
    photos: int


def make_school(database: Path, media: Path) -> SampleSchool:
    """Create the database and the media folder; both must not exist yet. Raises OSError."""
    chance = random.Random(_SEED)  # noqa: S311 - sample data, and the same each time
    media.mkdir()
    (media / "certificates").mkdir()
    students = [_student(number, chance) for number in range(1, _STUDENTS + 1)]
    payments = [_payment(number, chance) for number in range(1, _PAYMENTS + 1)]
    for _, first, last, _, photo in students:
        if photo:
            _write(media / photo, square_jpeg(f"{first} {last}"))
    for number, student, amount, day, receipt in payments:
        if receipt:
            name = f"{students[student - 1][1]} {students[student - 1][2]}"
            lines = [f"Receipt no {number}", f"Received from {name}", f"{amount:,} XOF on {day}"]
            _write(media / receipt, square_jpeg("\n".join(lines)) if receipt.endswith(".jpg") else receipt_pdf(lines))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(_TABLES)
        connection.executemany(
            "INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, '2026-01-05 08:00:00')", _MIGRATIONS
        )
        connection.executemany("INSERT INTO school_student VALUES (?, ?, ?, ?, ?)", students)
        connection.executemany("INSERT INTO finance_payment VALUES (?, ?, ?, ?, ?)", payments)
    return SampleSchool(
        len(students),
        len(payments),
        sum(1 for payment in payments if payment[4]),
        sum(1 for student in students if student[4]),
    )


def count_payments(database: Path) -> int:
    """How many payments there are."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM finance_payment").fetchone()[0])


def delete_payments(database: Path, first: int) -> None:
    """Delete the payments whose number is at most `first`."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM finance_payment WHERE id <= ?", (first,))


def _student(number: int, chance: random.Random) -> tuple[int, str, str, str, str]:
    photo = f"photos/élève_{number:04d}.jpg" if number % 8 == 0 else ""
    return number, chance.choice(_FIRST), chance.choice(_LAST), chance.choice(_LEVELS), photo


def _payment(number: int, chance: random.Random) -> tuple[int, int, int, str, str]:
    month, day = 1 + number % 12, 1 + number % 28
    suffix = "jpg" if number % 12 == 0 else "pdf"
    receipt = f"payment_receipts/2026/{month:02d}/reçu n° {number:04d}.{suffix}" if number % 4 == 0 else ""
    return number, chance.randint(1, _STUDENTS), chance.randint(10, 400) * 500, f"2026-{month:02d}-{day:02d}", receipt


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
