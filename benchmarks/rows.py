"""The rows of the sample school, and the way they get into PostgreSQL: text for `COPY`, many rows at a time.

The same scale gives the same rows, on every machine.
"""

import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.media import photo_path, receipt_path
from benchmarks.school import (
    COURSES_OF_A_STUDENT,
    FOREIGN_KEYS,
    INDEXES,
    PAYMENTS_FOR_A_RECEIPT,
    TABLES,
    Counts,
    counts_at,
)
from benchmarks.words import CHANGED_FIELDS, CITIES, FIRST_DAY, FIRST_NAMES, LAST_NAMES, LEVELS, SUBJECTS, Dice

# One row; every value but None is written as `str` writes it. No value holds a tab, a line end or a backslash.
Row = tuple[object, ...]

ROWS_AT_ONCE = 5000
APPLICATIONS = ("contenttypes", "auth", "admin", "sessions", "school", "finance", "audit")
MIGRATIONS = ("0001_initial", "0002_alter_field", "0003_add_index", "0004_auto_20220101")
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0",
    "okhttp/4.9.3",
)


def load_school(connection: psycopg.Connection[Any], scale: float) -> None:
    """Fill an empty database, in one transaction; indexes and foreign keys come after the rows."""
    connection.execute("SET timezone = 'UTC'")
    connection.execute("SET maintenance_work_mem = '512MB'")
    for table, columns in TABLES.items():
        connection.execute(sql.SQL("CREATE TABLE {} (" + columns + ")").format(sql.Identifier(table)))
        _copy(connection, table, rows_of(table, scale))
    for index in INDEXES:
        connection.execute(index.encode())
    for table, column, target in FOREIGN_KEYS:
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} DEFERRABLE INITIALLY DEFERRED").format(
                sql.Identifier(table), sql.Identifier(column), sql.Identifier(target)
            )
        )
    for table in TABLES:
        connection.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}").format(
                sql.Literal(table), sql.Identifier(table)
            )
        )
    connection.commit()


def rows_of(table: str, scale: float) -> Iterator[Row]:
    """Every row of one table of `school.TABLES`, by `id`."""
    return MAKERS[table](counts_at(scale), Dice(table))


def _copy(connection: psycopg.Connection[Any], table: str, rows: Iterator[Row]) -> None:
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            lines = ("\t".join("\\N" if value is None else str(value) for value in row) for row in some)
            copy.write("\n".join(lines) + "\n")


def _migrations(_counts: Counts, dice: Dice) -> Iterator[Row]:
    for number, (application, name) in enumerate(itertools.product(APPLICATIONS, MIGRATIONS), 1):
        yield number, application, name, dice.instant()


def _guardians(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.guardians + 1):
        first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
        email = f"{first}.{last}{number}@example.org".lower()
        street = f"{dice.between(1, 400)} rue {dice.pick(LAST_NAMES)}, BP {dice.below(9999)}, {dice.pick(CITIES)}"
        yield number, first, last, email, f"+22{dice.below(10**9):09d}", street, dice.instant()


def _students(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.students + 1):
        birth = dice.date(datetime.date(2004, 1, 1), 4000)
        guardian = dice.between(1, counts.guardians + 1)
        photo = photo_path(number) if number <= counts.photos else ""
        notes = dice.sentence(dice.between(3, 40))
        names = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
        yield number, f"MAT{number:08d}", *names, birth, guardian, photo, dice.pick(LEVELS), notes, dice.instant()


def _courses(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.courses + 1):
        teacher = f"{dice.pick(FIRST_NAMES)} {dice.pick(LAST_NAMES)}"
        title = f"{dice.pick(SUBJECTS)} {number}"
        yield number, f"C{number:05d}", title, teacher, dice.between(1, 6), dice.between(2021, 2025)


def _enrollments(counts: Counts, dice: Dice) -> Iterator[Row]:
    number = itertools.count(1)
    courses = range(1, counts.courses + 1)
    for student in range(1, counts.students + 1):
        for course in dice.sample(courses, COURSES_OF_A_STUDENT):
            day = dice.date(FIRST_DAY.date(), 1000)
            yield next(number), student, course, day, dice.pick(("actif", "actif", "actif", "retiré", "terminé"))


def _attendances(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.attendances + 1):
        day = number * 1000 // counts.attendances
        recorded = FIRST_DAY + datetime.timedelta(days=day, seconds=dice.random() * 36_000)
        status = dice.pick("PPPPPPPARE")
        yield (
            number,
            dice.between(1, counts.students + 1),
            dice.between(1, counts.courses + 1),
            recorded.date(),
            dice.between(1, 9),
            status,
            dice.between(1, 45) if status == "R" else None,
            "" if status == "P" else dice.sentence(dice.between(2, 7)),
            recorded,
        )


def _grades(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.grades + 1):
        enrollment = dice.between(1, counts.enrollments + 1)
        value = f"{dice.gauss(11.5, 3.5) % 20:.2f}"
        comment = dice.sentence(dice.between(1, 6)) if dice.random() < 0.4 else ""
        kind = dice.pick(("devoir", "examen", "oral", "TP"))
        yield number, enrollment, dice.between(1, 4), kind, value, comment, dice.instant()


def _payments(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.payments + 1):
        receipt, rest = divmod(number, PAYMENTS_FOR_A_RECEIPT)
        yield (
            number,
            dice.between(1, counts.students + 1),
            dice.between(1, counts.guardians + 1),
            f"{dice.between(5, 900) * 500}.00",
            "XOF",
            dice.pick(("espèces", "virement", "chèque", "mobile")),
            f"{dice.getrandbits(96):024X}",
            receipt_path(receipt) if rest == 0 and receipt <= counts.receipts else "",
            dice.instant(),
            dice.sentence(dice.below(12)),
        )


def _audits(counts: Counts, dice: Dice) -> Iterator[Row]:
    for number in range(1, counts.audits + 1):
        payload = {
            "champ": dice.pick(CHANGED_FIELDS),
            "avant": dice.below(10**6),
            "après": dice.below(10**6),
            "motif": dice.sentence(dice.between(2, 10)),
            "ua": dice.pick(BROWSERS),
            "req": f"{dice.getrandbits(128):032x}",
        }
        yield (
            number,
            f"{dice.pick(FIRST_NAMES)}.{dice.pick(LAST_NAMES)}".lower(),
            dice.pick(("create", "update", "delete", "view", "login")),
            dice.pick(("student", "payment", "grade", "attendance", "guardian")),
            dice.between(1, 10**6),
            json.dumps(payload, ensure_ascii=False),
            f"10.{dice.below(256)}.{dice.below(256)}.{dice.below(256)}",
            dice.instant(),
        )


MAKERS: dict[str, Callable[[Counts, Dice], Iterator[Row]]] = {
    "django_migrations": _migrations,
    "school_guardian": _guardians,
    "school_student": _students,
    "school_course": _courses,
    "school_enrollment": _enrollments,
    "school_attendance": _attendances,
    "school_grade": _grades,
    "finance_payment": _payments,
    "audit_log": _audits,
}
