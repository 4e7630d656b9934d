"""How long a person waits for the short commands: medians of whole processes. Prints; asserts nothing.

python benchmarks/startup.py
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 15
PROFILES = 10

PROFILE = """\
version: 1
database: {{engine: postgresql, host: localhost, name: school_{number}, user: school, password: {{env: PASSWORD}}}}
media:
  root: media_{number}
  exclude: ["*.tmp", "cache/**"]
  references: [{{table: finance_payment, column: receipt}}]
archive: {{name: "school_{number}_{{timestamp}}.zip"}}
destinations: [{{type: local, path: backups}}]
restore: {{variants: [full, db-only]}}
"""


def median_milliseconds(arguments: list[str], folder: Path) -> tuple[float, float, float]:
    """Fastest, median and slowest of the runs, after one that is not counted."""
    times: list[float] = []
    for number in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "runner", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        if number:
            times.append((time.perf_counter() - started) * 1000)
    return min(times), statistics.median(times), max(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "profiles").mkdir()
        (folder / "backups").mkdir()
        (folder / "backup.yml").write_text("version: 1\n", "utf-8")
        for number in range(PROFILES):
            (folder / "profiles" / f"school_{number}.yml").write_text(PROFILE.format(number=number), "utf-8")
        print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"{'command':<34}{'min':>8}{'median':>8}{'max':>8}  ms, {RUNS} runs")
        for title, arguments in (
            ("runner --help", ["--help"]),
            (f"runner validate, {PROFILES} profiles", ["validate"]),
            ("runner apply --dry-run", ["apply", "school_0", "--dry-run"]),
            ("runner list", ["list", "school_0"]),
        ):
            low, median, high = median_milliseconds(arguments, folder)
            print(f"{title:<34}{low:>8.0f}{median:>8.0f}{high:>8.0f}")


if __name__ == "__main__":
    main()
