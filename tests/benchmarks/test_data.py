"""The sample school of the benchmarks: the same each time, whole, and as large as it says."""

from pathlib import Path

import pytest

from benchmarks.media import CONTENTS, change_media, plan_media, write_media, write_small_files
from benchmarks.rows import rows_of
from benchmarks.school import FOREIGN_KEYS, TABLES, counts_at

SCALE = 0.005


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("table", TABLES)
def test_the_same_scale_gives_the_same_rows(table: str) -> None:
    once = list(rows_of(table, SCALE))
    assert once == list(rows_of(table, SCALE))
    assert [row[0] for row in once] == list(range(1, len(once) + 1))


@pytest.mark.parametrize("table", TABLES)
def test_no_value_needs_to_be_escaped_for_copy(table: str) -> None:
    written = [str(value) for row in rows_of(table, SCALE) for value in row]
    assert not [value for value in written if set(value) & set("\t\n\r\\")]


def test_every_foreign_key_points_at_a_row() -> None:
    for table, column, target in FOREIGN_KEYS:
        place = [name.split()[0] for name in TABLES[table].split(",\n        ") for name in name.split(", ")].index(
            column
        )
        pointed_at = {row[place] for row in rows_of(table, SCALE)}
        assert pointed_at <= {row[0] for row in rows_of(target, SCALE)}, (table, column)


def test_every_file_that_the_database_names_is_made() -> None:
    made = {file.path for file in plan_media(SCALE)}
    receipts = [str(row[7]) for row in rows_of("finance_payment", SCALE) if row[7]]
    photos = [str(row[6]) for row in rows_of("school_student", SCALE) if row[6]]
    assert len(receipts) == counts_at(SCALE).receipts
    assert len(photos) == counts_at(SCALE).photos
    assert set(receipts) | set(photos) <= made


def test_the_same_scale_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_media(tmp_path / name, SCALE)
        change_media(tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_day_changes_one_in_a_hundred_and_adds_one_in_a_thousand(tmp_path: Path) -> None:
    write_small_files(tmp_path, 2000)
    before = contents(tmp_path)
    change_media(tmp_path)
    after = contents(tmp_path)
    assert sum(after[name] != content for name, content in before.items()) == 20
    assert len(after.keys() - before.keys()) == 2


def test_at_scale_1_there_are_twenty_thousand_files_of_two_gigabytes() -> None:
    files = list(plan_media(1))
    assert len(files) == len({file.path for file in files}) == counts_at(1).files == 20_000
    assert 1.85e9 < sum(file.size_bytes for file in files) < 2.0e9
    assert {file.kind for file in files} == set(CONTENTS)


def test_the_files_are_as_large_as_planned(tmp_path: Path) -> None:
    write_media(tmp_path, SCALE)
    for file in plan_media(SCALE):
        assert (tmp_path / file.path).stat().st_size == pytest.approx(file.size_bytes, rel=0.15), file.path
