"""What the benchmarks make of measurements: medians, ratios, growth, verdicts, and the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import limits
from benchmarks.goals import Goal, judge
from benchmarks.growth import growth_between, growth_overall
from benchmarks.measure import Cost
from benchmarks.page import MARK, render, write_page
from benchmarks.results import (
    AGAIN,
    CHANGED,
    FIRST,
    LIMIT,
    RESTORE,
    RIGHT,
    VERIFY,
    Comparison,
    Data,
    Point,
    Run,
    Sweep,
    load_comparison,
    load_sweep,
    save,
)
from benchmarks.tables import table
from benchmarks.tools import NAIVE, OURS, OURS_LEAN, Tool

ONE = Cost(
    wall_seconds=1,
    cpu_seconds=1,
    server_cpu_seconds=0.5,
    memory_bytes=60_000_000,
    added_bytes=1_000_000,
    temporary_bytes=0,
)


def seconds(wall: float) -> Cost:
    return replace(ONE, wall_seconds=wall)


def runs_of(tool: Tool, walls: dict[str, list[float]]) -> list[Run]:
    return [
        Run(tool.group, tool.title, operation, number, seconds(wall), RIGHT if operation == RESTORE else "")
        for operation, rounds in walls.items()
        for number, wall in enumerate(rounds, 1)
    ]


def comparison(*, scale: float = 1) -> Comparison:
    backups = {FIRST: [10.0, 12.0, 11.0], AGAIN: [10.0], CHANGED: [10.0]}
    runs = runs_of(OURS, {FIRST: [14.0], RESTORE: [40.0]})
    runs += runs_of(OURS_LEAN, {**backups, RESTORE: [20.0], VERIFY: [2.0]})
    runs += runs_of(NAIVE, {FIRST: [88.0, 88.0, 88.0], RESTORE: [30.0]})
    runs += [
        Run("limit", limit.title, LIMIT, 1, seconds(16 if limit.name == limits.RESTORE else 7))
        for limit in limits.LIMITS
    ]
    machine, versions = {"memory": "4 GiB"}, {"runner": "1"}
    data = Data(files=10, media_bytes=20, database_bytes=30, rows=40)
    return Comparison("make bench", "2026-01-08", scale, 3, machine, versions, data, {"restic": "not there"}, runs)


def grown(walls: list[float]) -> Sweep:
    points = [Point("files", 1000 * 2**number, "backup", seconds(wall)) for number, wall in enumerate(walls)]
    return Sweep("make bench", "2026-01-08", 1, 3, {}, {}, points)


def goal(found: list[Goal], text: str) -> Goal:
    (one,) = (goal for goal in found if text in goal.text)
    return one


def test_each_figure_is_the_median_of_its_rounds() -> None:
    assert comparison().seconds(OURS_LEAN.title, FIRST) == 11


def test_a_tool_that_was_wrong_or_failed_once_has_no_figure() -> None:
    runs = runs_of(NAIVE, {RESTORE: [3.0, 4.0]})
    for spoilt in (replace(runs[0], verdict="wrong: table audit_log"), replace(runs[0], cost=None, verdict="failed")):
        found = replace(comparison(), runs=[spoilt, runs[1]])
        assert found.median(NAIVE.title, RESTORE) is None
        assert spoilt.verdict in render(found, None)
        assert "3.00" not in render(found, None)


def test_growth_is_two_for_a_straight_line_and_four_for_a_square() -> None:
    assert growth_between([(1, 5.0), (2, 10.0), (8, 40.0)]) == pytest.approx([2, 2])
    assert growth_overall([(1, 5.0), (3, 15.0), (10, 50.0)]) == pytest.approx(2)
    assert growth_overall([(1, 1.0), (3, 9.0), (10, 100.0)]) == pytest.approx(4)
    assert growth_overall([(1, 7.0), (3, 7.0), (10, 7.0)]) == pytest.approx(1)


def test_goals_are_kept_or_missed_by_the_ratios_of_one_run() -> None:
    found = judge(comparison(), None)
    naive = goal(found, "backup without the re-read: the naive script")
    assert (naive.measured, naive.verdict) == (8, "kept")
    assert goal(found, "backup with the re-read").verdict == "missed"
    assert goal(found, "restore without the safety copy: the naive script").verdict == "missed"
    assert goal(found, "beside `pg_restore -j2`").measured == 1.25
    assert goal(found, "beside `pg_restore -j2`").verdict == "kept"
    assert [each.verdict for each in found if each.text.startswith("verify, beside")] == ["kept", "kept"]
    assert goal(found, "peak memory").measured == 60
    assert goal(found, "restic").verdict == "not measured"


def test_growth_is_judged_by_its_steepest_step() -> None:
    assert goal(judge(None, grown([1, 2, 4])), "as many files").verdict == "kept"
    assert goal(judge(None, grown([1, 1.1, 3])), "as many files").verdict == "missed"


def test_the_page_says_what_was_not_measured_and_at_which_scale() -> None:
    page = render(comparison(), grown([1, 2]))
    assert "- Not measured: restic: not there" in page
    assert "88.0 (×8.00)" in page
    assert "below scale 1" not in page
    assert "**Made at scale 0.1: below scale 1 start-up dominates" in render(comparison(scale=0.1), None)


def test_what_was_written_by_hand_stays(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_page(page, comparison(), None)
    page.write_text(page.read_text("utf-8") + "\n## Where the time goes\n\nHere.\n", "utf-8")
    write_page(page, comparison(), grown([1, 2]))
    text = page.read_text("utf-8")
    assert text.endswith(f"{MARK}\n\n## Where the time goes\n\nHere.\n")
    assert "## Growth" in text


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    save(tmp_path / "comparison.json", comparison())
    assert load_comparison(tmp_path / "comparison.json") == comparison()
    save(tmp_path / "sweep.json", grown([1, 2]))
    assert load_sweep(tmp_path / "sweep.json") == grown([1, 2])


def test_a_table_is_aligned() -> None:
    assert table(["a", "b"], [["long", "1"], ["c", "22"]]).splitlines() == [
        "| a    |   b |",
        "| ---- | --: |",
        "| long |   1 |",
        "| c    |  22 |",
    ]
