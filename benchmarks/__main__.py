"""The command line: `python -m benchmarks [PART …] [options]`; `make bench` calls it.

Parts: `startup` (how long a person waits for the short commands), `comparison` (beside the other tools), `sweep` (how
it grows), and `page`, which measures nothing: it prints what the last runs found. The first three run where none is
named. Results are kept in the cache, those of each scale; `--write` makes `docs/benchmarks.md` of them.
"""

import argparse
import os
import platform
import shutil
import signal
import sys
from pathlib import Path

from benchmarks import startup
from benchmarks.comparison import Settings, chosen, compare
from benchmarks.measure import GNU_TIME
from benchmarks.page import FILES_PLOT, SIZE_PLOT, render, write_page
from benchmarks.peers import TOOLS
from benchmarks.plots import NoMatplotlib, plot_growth
from benchmarks.results import load_comparison, load_sweep, save
from benchmarks.sweep import sweep
from benchmarks.trash import empty

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "benchmarks.md"
PARTS = ("startup", "comparison", "sweep", "page")


def main() -> int:
    options = _options()
    parts = options.parts or list(PARTS[:3])
    if missing := _missing():
        print(f"error: measuring needs {missing}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and the work folder go, too
    cache: Path = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    settings = Settings(cache, options.scale, options.runs, _command(options))
    compared, swept = (cache / f"{part}-{options.scale:g}.json" for part in ("comparison", "sweep"))
    if "startup" in parts:
        startup.main()
    try:
        if "comparison" in parts:
            save(compared, compare(list(chosen(TOOLS, options.tools)), settings))
        if "sweep" in parts:
            save(swept, sweep(settings))
    finally:
        empty(settings.work)
        empty(settings.trash)
    shown = [part for part in ("comparison", "sweep") if part in parts or "page" in parts]
    comparison = load_comparison(compared) if "comparison" in shown and compared.exists() else None
    swept_now = load_sweep(swept) if "sweep" in shown and swept.exists() else None
    if comparison or swept_now:
        print(render(comparison, swept_now))
    return _write(compared, swept) if options.write else 0


def _missing() -> str:
    """What every part needs and this machine has not; empty where nothing is missing."""
    if platform.system() != "Linux":
        return "Linux"
    if not Path(GNU_TIME).exists():
        return f"GNU time ({GNU_TIME})"
    return next((f"`{program}`" for program in ("bash", "openssl", "tar") if shutil.which(program) is None), "")


def _write(compared: Path, swept: Path) -> int:
    """The page holds both parts, whichever of them ran just now."""
    comparison = load_comparison(compared) if compared.exists() else None
    found = load_sweep(swept) if swept.exists() else None
    try:
        if found is not None:
            plot_growth(found, "size", PAGE.with_name(SIZE_PLOT))
            plot_growth(found, "files", PAGE.with_name(FILES_PLOT))
    except NoMatplotlib as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    write_page(PAGE, comparison, found)
    print(f"wrote {PAGE.relative_to(CHECKOUT)}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    groups = list(dict.fromkeys(tool.group for tool in TOOLS))
    cache = Path(os.environ.get("BENCH_CACHE") or CHECKOUT / ".cache" / "bench")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure runner and its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: the first three")
    parser.add_argument("--scale", type=float, default=0.1, help="1 is 20,000 files and 3 GB in all (default: 0.1)")
    parser.add_argument("--runs", type=int, default=3, help="rounds of which the median counts (default: 3)")
    parser.add_argument("--tools", type=_names, default=[], help=f"some of {','.join(groups)}; default: all")
    parser.add_argument("--cache", type=Path, default=cache, help="data, peers, results ($BENCH_CACHE, .cache/bench)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its pictures")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part `{part}`; there are {', '.join(PARTS)}")
    for name in options.tools:
        if name not in groups:
            parser.error(f"there is no tool `{name}`; there are {', '.join(groups)}")
    return options


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _command(options: argparse.Namespace) -> str:
    """As a reader would repeat it."""
    words = [f"make bench SCALE={options.scale:g} RUNS={options.runs}"]
    words += [f"TOOLS={','.join(options.tools)}"] if options.tools else []
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
