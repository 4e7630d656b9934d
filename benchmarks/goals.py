"""What runner must show at scale 1, and whether it does. Pure: results go in, one line for each goal comes out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks import limits
from benchmarks.growth import growth_between
from benchmarks.results import FIRST, LIMIT, RESTORE, VERIFY, Comparison, Sweep
from benchmarks.tools import OURS, OURS_LEAN

MEMORY_BYTES = 100_000_000
MEMORY_OF_MANY_FILES_BYTES = 250_000_000
MANY_FILES = 1_000_000
GROWTH = 2.1


@dataclass(frozen=True, slots=True)
class Goal:
    """`measured` is None where it was not measured in these runs; `note` then says where to look."""

    point: int
    text: str
    bound: Literal["at least", "at most"]
    limit: float
    measured: float | None
    unit: str = "×"
    note: str = ""

    @property
    def verdict(self) -> Literal["kept", "missed", "not measured"]:
        if self.measured is None:
            return "not measured"
        kept = self.measured >= self.limit if self.bound == "at least" else self.measured <= self.limit
        return "kept" if kept else "missed"


def judge(comparison: Comparison | None, sweep: Sweep | None) -> list[Goal]:
    """Every point of the list that figures can answer, in order; without results, each is `not measured`."""
    found: list[Goal] = []
    if comparison is not None:
        found += [*_backup(comparison), *_restore(comparison), *_verify(comparison), _memory(comparison)]
    if sweep is not None:
        found += [_memory_of_files(sweep), *_growth(sweep)]
    return found


def _backup(comparison: Comparison) -> Iterator[Goal]:
    ours = comparison.seconds(OURS_LEAN.title, FIRST)
    for group, title, times in (
        ("naive", "the naive script", 7),
        ("borgmatic", "borgmatic, first", 2.5),
        ("restic", "restic, first", 3),
        ("django-dbbackup", "django-dbbackup without compression", 3),
        ("pipeline", "the shell pipeline", 1.5),
    ):
        ratio = _ratio(comparison.fastest(group, FIRST), ours)
        yield Goal(1, f"backup without the re-read: {title} takes", "at least", times, ratio, "× ours")
    slower = _slower(_limit(comparison, limits.DUMP), _limit(comparison, limits.COPY))
    text = "backup without the re-read, beside the longer of `pg_dump > /dev/null` and `cp -a media`"
    yield Goal(1, text, "at most", 1.7, _ratio(ours, slower))
    reread = _ratio(comparison.seconds(OURS.title, FIRST), ours)
    yield Goal(1, "backup with the re-read, beside the one without", "at most", 1.2, reread)


def _restore(comparison: Comparison) -> Iterator[Goal]:
    ours = comparison.seconds(OURS_LEAN.title, RESTORE)
    for group, title, times in (("naive", "the naive script", 1.9), ("pipeline", "the shell pipeline", 1.2)):
        ratio = _ratio(comparison.fastest(group, RESTORE), ours)
        yield Goal(2, f"restore without the safety copy: {title} takes", "at least", times, ratio, "× ours")
    text = "restore without the safety copy, beside `pg_restore -j2` and the extraction of the media at once"
    yield Goal(2, text, "at most", 1.25, _ratio(ours, _limit(comparison, limits.RESTORE)))


def _verify(comparison: Comparison) -> Iterator[Goal]:
    ours = comparison.seconds(OURS_LEAN.title, VERIFY)
    for name, how in ((limits.HASH, "as two files"), (limits.HASH_PIPED, "through pipes")):
        text = f"verify, beside `openssl sha256` of the archive's two halves at once, {how}"
        yield Goal(3, text, "at most", 1.4, _ratio(ours, _limit(comparison, name)))


def _memory(comparison: Comparison) -> Goal:
    ours = {OURS.title, OURS_LEAN.title}
    peaks = [run.cost.memory_bytes for run in comparison.runs if run.title in ours and run.cost is not None]
    measured = max(peaks) / 1e6 if peaks else None
    return Goal(4, "peak memory of backup, verify and restore", "at most", MEMORY_BYTES / 1e6, measured, " MB")


def _memory_of_files(sweep: Sweep) -> Goal:
    points = [point for point in sweep.points if point.kind == "files" and point.counts]
    if not points:
        return Goal(4, "peak memory with many files", "at most", MEMORY_OF_MANY_FILES_BYTES / 1e6, None, " MB")
    most = max(point.amount for point in points)
    peak = max(point.cost.memory_bytes for point in points if point.amount == most)
    text = f"peak memory with {most:,} files (the goal is for {MANY_FILES:,})"
    return Goal(4, text, "at most", MEMORY_OF_MANY_FILES_BYTES / 1e6, peak / 1e6, " MB")


def _growth(sweep: Sweep) -> Iterator[Goal]:
    for kind, what in (("size", "as much data"), ("files", "as many files")):
        for operation in sweep.operations:
            points = sweep.series(kind, operation)
            steps = growth_between([(amount, cost.wall_seconds) for amount, cost in points])
            text = f"{operation}: twice {what}, the steepest step, takes"
            yield Goal(5, text, "at most", GROWTH, max(steps, default=None), "× the time")


def _limit(comparison: Comparison, name: str) -> float | None:
    (title,) = (limit.title for limit in limits.LIMITS if limit.name == name)
    return comparison.seconds(title, LIMIT)


def _slower(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above / below
