"""Results as Markdown tables, which read well at a terminal too. Pure."""

from collections.abc import Sequence

from benchmarks.goals import Goal
from benchmarks.growth import growth_between, growth_overall
from benchmarks.limits import LIMITS
from benchmarks.measure import Cost
from benchmarks.results import AGAIN, CHANGED, FIRST, LIMIT, RESTORE, VERIFY, Comparison, Sweep
from benchmarks.tools import OURS_LEAN

OPERATIONS = {
    FIRST: "first backup",
    AGAIN: "backup, nothing changed",
    CHANGED: "backup, 1 % changed",
    RESTORE: "restore",
    VERIFY: "verify",
}
NOTHING = "–"
KINDS = {"size": "database and media, MB", "files": "files of 1 KB"}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right; columns are as wide as what is in them."""
    widths = [max(3, *(len(row[column]) for row in (heads, *rows))) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join((first, *others))} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(heads), line(rule), *map(line, rows)])


def overview(comparison: Comparison) -> str:
    """Seconds of every tool, and how many times ours that is."""
    operations = (FIRST, AGAIN, CHANGED, RESTORE)
    rows = [
        [title, *(_against_ours(comparison, title, operation) for operation in operations)]
        for title in comparison.titles
    ]
    rows += [[title, *["not measured"] * len(operations)] for title in comparison.unavailable]
    return table(["seconds (times ours)", *(OPERATIONS[operation] for operation in operations)], rows)


def limits_table(comparison: Comparison) -> str:
    rows = [
        [limit.title, seconds(cost.wall_seconds), seconds(cost.cpu_seconds + cost.server_cpu_seconds)]
        for limit in LIMITS
        if (cost := comparison.median(limit.title, LIMIT))
    ]
    return table(["limit", "wall, s", "CPU with the server's, s"], rows)


def details(comparison: Comparison, operation: str) -> str:
    """Everything that was measured of one operation; medians, and the fastest and slowest run."""
    heads = ["", "wall, s", "fastest–slowest", "CPU, s", "server's CPU, s", "memory, MB"]
    heads += [] if operation in (RESTORE, VERIFY) else ["bytes added, MB"]
    heads += ["temporary disk, MB", "times ours"]
    heads += ["result"] if operation == RESTORE else []
    rows = [
        _detail(comparison, title, operation, len(heads))
        for title in comparison.titles
        if comparison.of(title, operation)
    ]
    return table(heads, rows)


def goals_table(goals: Sequence[Goal]) -> str:
    rows = [
        [f"{goal.point}. {goal.text}", f"{goal.bound} {goal.limit:g}{goal.unit}", _measured(goal), goal.verdict]
        for goal in goals
    ]
    return table(["what it must show", "goal", "measured", ""], rows)


def sweep_table(sweep: Sweep, kind: str) -> str:
    """Time and memory of each operation, by rising amount, and the growth for each doubling since the line above."""
    operations = sweep.operations
    heads = [KINDS[kind]]
    for operation in operations:
        heads += [f"{operation}, s", "a doubling", "MB"]
    columns: list[list[str]] = []
    amounts: list[int] = []
    for operation in operations:
        series = sweep.series(kind, operation)
        amounts = [amount for amount, _ in series]
        steps = growth_between([(amount, cost.wall_seconds) for amount, cost in series])
        columns.append([seconds(cost.wall_seconds) for _, cost in series])
        columns.append([NOTHING, *(f"×{step:.2f}" for step in steps)])
        columns.append([megabytes(cost.memory_bytes) for _, cost in series])
    names = [f"{amount / 1e6:,.0f}" if kind == "size" else f"{amount:,}" for amount in amounts]
    return table(heads, [list(row) for row in zip(names, *columns, strict=True)])


def growth_sentence(sweep: Sweep, kind: str) -> str:
    """The growth over all points, of time and of memory."""
    parts = []
    for operation in sweep.operations:
        series = sweep.series(kind, operation)
        if len(series) > 1:
            time = growth_overall([(amount, cost.wall_seconds) for amount, cost in series])
            memory = growth_overall([(amount, cost.memory_bytes) for amount, cost in series])
            parts.append(f"{operation} ×{time:.2f} the time and ×{memory:.2f} the memory")
    return f"A doubling, over all points: {'; '.join(parts)}." if parts else "One point alone shows no growth."


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def megabytes(value: float) -> str:
    """In millions of bytes."""
    return f"{value / 1e6:,.1f}" if value < 100e6 else f"{value / 1e6:,.0f}"


def _against_ours(comparison: Comparison, title: str, operation: str) -> str:
    runs = comparison.of(title, operation)
    cost = comparison.median(title, operation)
    if cost is None:
        return NOTHING if not runs else "failed" if any(run.cost is None for run in runs) else "wrong"
    return f"{seconds(cost.wall_seconds)} ({_times_ours(comparison, cost, operation)})"


def _times_ours(comparison: Comparison, cost: Cost, operation: str) -> str:
    ours = comparison.seconds(OURS_LEAN.title, operation)
    return NOTHING if ours is None else f"×{cost.wall_seconds / ours:.2f}"


def _detail(comparison: Comparison, title: str, operation: str, width: int) -> list[str]:
    runs = comparison.of(title, operation)
    cost = comparison.median(title, operation)
    if cost is None:
        said = next(run.verdict for run in runs if run.cost is None or run.verdict.startswith("wrong"))
        return [title, *[NOTHING] * (width - 2), said]
    walls = [run.cost.wall_seconds for run in runs if run.cost is not None]
    cells = [title, seconds(cost.wall_seconds), f"{seconds(min(walls))}–{seconds(max(walls))}"]
    cells += [seconds(cost.cpu_seconds), seconds(cost.server_cpu_seconds), megabytes(cost.memory_bytes)]
    cells += [] if operation in (RESTORE, VERIFY) else [megabytes(cost.added_bytes)]
    cells += [megabytes(cost.temporary_bytes), _times_ours(comparison, cost, operation)]
    return cells + ([runs[0].verdict] if operation == RESTORE else [])


def _measured(goal: Goal) -> str:
    return NOTHING if goal.measured is None else f"{goal.measured:.2f}{goal.unit}"
