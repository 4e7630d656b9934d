"""What a comparison found, as data: every single run, kept as JSON in the cache, and the medians of them."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.measure import Cost

FIRST = "first"
AGAIN = "again"
CHANGED = "changed"
RESTORE = "restore"
VERIFY = "verify"
LIMIT = "limit"

RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Run:
    """One command, once. `cost` is None where it failed; `verdict` then says how.

    `verdict` is `right` for a restore whose every row and file equals the source, empty where nothing was compared.
    """

    group: str
    title: str
    operation: str
    round: int
    cost: Cost | None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """How much there was to back up."""

    files: int
    media_bytes: int
    database_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One whole run of the comparison. `unavailable`: title of a tool → why it was not measured."""

    command: str
    date: str
    scale: float
    rounds: int
    machine: dict[str, str]
    versions: dict[str, str]
    data: Data
    unavailable: dict[str, str]
    runs: list[Run]

    @property
    def titles(self) -> list[str]:
        """The tools in the order in which they ran; those that could not be measured are not among them."""
        return list(dict.fromkeys(run.title for run in self.runs if run.operation != LIMIT))

    def of(self, title: str, operation: str) -> list[Run]:
        return [run for run in self.runs if run.title == title and run.operation == operation]

    def median(self, title: str, operation: str) -> Cost | None:
        """Each quantity's own median over the rounds; None where a round failed, is wrong, or never was."""
        runs = self.of(title, operation)
        costs = [run.cost for run in runs if run.cost is not None and run.verdict in ("", RIGHT)]
        return median_cost(costs) if costs and len(costs) == len(runs) else None

    def seconds(self, title: str, operation: str) -> float | None:
        cost = self.median(title, operation)
        return None if cost is None else cost.wall_seconds

    def fastest(self, group: str, operation: str) -> float | None:
        """The wall time of a tool by its fastest settings."""
        titles = {run.title for run in self.runs if run.group == group}
        times = [seconds for title in titles if (seconds := self.seconds(title, operation)) is not None]
        return min(times, default=None)


@dataclass(frozen=True, slots=True)
class Point:
    """One operation at one amount: bytes of database and media, or number of files. `cost` is the median."""

    kind: str
    amount: int
    operation: str
    cost: Cost
    verdict: str = ""

    @property
    def counts(self) -> bool:
        """Whether nothing that it brought back was wrong."""
        return self.verdict in ("", RIGHT)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One whole run of the sweep, runner alone."""

    command: str
    date: str
    scale: float
    rounds: int
    machine: dict[str, str]
    versions: dict[str, str]
    points: list[Point]

    @property
    def operations(self) -> list[str]:
        return list(dict.fromkeys(point.operation for point in self.points))

    def series(self, kind: str, operation: str) -> list[tuple[int, Cost]]:
        """What one operation took, by rising amount; what brought back anything wrong counts nowhere."""
        found = [
            (point.amount, point.cost)
            for point in self.points
            if (point.kind, point.operation) == (kind, operation) and point.counts
        ]
        return sorted(found, key=lambda pair: pair[0])


def median_cost(costs: list[Cost]) -> Cost:
    return Cost(
        wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        server_cpu_seconds=statistics.median(cost.server_cpu_seconds for cost in costs),
        memory_bytes=int(statistics.median(cost.memory_bytes for cost in costs)),
        added_bytes=int(statistics.median(cost.added_bytes for cost in costs)),
        temporary_bytes=int(statistics.median(cost.temporary_bytes for cost in costs)),
    )


def save(path: Path, result: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))


def load_comparison(path: Path) -> Comparison:
    return msgspec.json.decode(path.read_bytes(), type=Comparison)


def load_sweep(path: Path) -> Sweep:
    return msgspec.json.decode(path.read_bytes(), type=Sweep)
