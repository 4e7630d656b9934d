"""The growth as pictures: SVG, the same bytes for the same results. Needs matplotlib, the extra `bench`."""

from pathlib import Path

from benchmarks.results import Sweep
from benchmarks.tables import KINDS


class NoMatplotlib(Exception):
    """The extra `bench` is not installed."""


def plot_growth(sweep: Sweep, kind: str, path: Path) -> None:
    """Time on the left, peak memory on the right, one line an operation. Raises `NoMatplotlib`."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as why:
        raise NoMatplotlib("the pictures need matplotlib: pip install -e '.[bench]'") from why

    with mpl.rc_context({"svg.hashsalt": "runner", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        time, memory = figure.subplots(1, 2)
        for operation in sweep.operations:
            series = sweep.series(kind, operation)
            amounts = [amount / 1e6 if kind == "size" else amount for amount, _ in series]
            time.plot(amounts, [cost.wall_seconds for _, cost in series], marker="o", label=operation)
            memory.plot(amounts, [cost.memory_bytes / 1e6 for _, cost in series], marker="o", label=operation)
        for axes, title in ((time, "wall time, s"), (memory, "peak memory, MB")):
            axes.set_title(title)
            axes.set_xlabel(KINDS[kind])
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text("utf-8").splitlines()), "utf-8")
