"""How long a person waits for the commands that look: medians of whole processes. Prints; asserts nothing.

python benchmarks/startup.py
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.archive.writer import ArchiveWriter
from runner.lanes import Lanes
from runner.model.manifest import (
    FORMAT_VERSION,
    InventoryEntry,
    Manifest,
    MediaRecord,
    SqliteRecord,
    TableRecord,
)
from runner.model.profile import Compression

RUNS = 15
PROFILES = 10
ARCHIVES = 1000
TABLES = 60
FILES = 100_000
FOLDERS = 100

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


def write_archive(folder: Path, profile: str, made: datetime, files: int) -> Path:
    """An archive of `TABLES` tables that are only told of, and of as many empty files."""
    path = folder / f"{profile}_{made:%Y%m%d_%H%M%S}.zip"
    dump = f"db_sqlite_{made:%Y%m%d_%H%M%S}.sqlite3"
    tables = tuple(TableRecord(name=f"school_table_{number}", rows=number) for number in range(TABLES))
    database = SqliteRecord(
        path="/db.sqlite3",
        sqlite_version="3",
        encoding="UTF-8",
        page_size=4096,
        journal_mode="wal",
        user_version=0,
        application_id=0,
        size=1,
        dump=dump,
        tables=tables,
        sequences=(),
    )
    with path.open("w+b") as file, ArchiveWriter(file, folder, made, Compression.AUTO, Lanes(1)) as writer:
        writer.add_member(dump, [b"-"], 1, deflate=False)
        names = [".", *(f"folder_{number:03}" for number in range(FOLDERS))]
        for name in names:
            folder_entry = InventoryEntry(path=name, type="directory", mtime_ns=0, mode=0o755)
            writer.add_packed([writer.pack_node(folder_entry)])
            for number in range(0 if name == "." else files // FOLDERS):
                file_name = f"{name}/paiement_{number:06}_Traoré.pdf"
                entry = InventoryEntry(path=file_name, type="file", mtime_ns=0, mode=0o644)
                writer.add_packed([writer.pack(entry, b"")])
        writer.end_media()
        writer.seal(
            Manifest(
                format_version=FORMAT_VERSION,
                archive_id=path.stem,
                profile=profile,
                instance=profile,
                host="host",
                variant="full",
                created_at=made.isoformat(),
                created_at_local=made.isoformat(),
                runner_version="0",
                members=(),
                database=database,
                media=MediaRecord(root="/m", exclude=(), files=files, directories=len(names), links=0, bytes=0),
            )
        )
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "profiles").mkdir()
        (folder / "backups").mkdir()
        (folder / "backup.yml").write_text("version: 1\n", "utf-8")
        for number in range(PROFILES):
            (folder / "profiles" / f"school_{number}.yml").write_text(PROFILE.format(number=number), "utf-8")
        began = datetime(2025, 1, 1, tzinfo=UTC)
        for number in range(ARCHIVES):
            write_archive(folder / "backups", "school_1", began + timedelta(hours=6 * number), 0)
        large = write_archive(folder, "large", began, FILES)
        print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"{'command':<34}{'min':>8}{'median':>8}{'max':>8}  ms, {RUNS} runs")
        for title, arguments in (
            ("runner --help", ["--help"]),
            (f"runner validate, {PROFILES} profiles", ["validate"]),
            ("runner apply --dry-run", ["apply", "school_0", "--dry-run"]),
            ("runner list, no archive", ["list", "school_0"]),
            (f"runner list, {ARCHIVES:,} archives", ["list", "school_1"]),
            (f"runner show, {FILES:,} files", ["show", str(large)]),
            (f"runner show --files, {FILES:,}", ["show", str(large), "--files"]),
            (f"runner verify, {FILES:,} files", ["-q", "verify", str(large)]),
        ):
            low, median, high = median_milliseconds(arguments, folder)
            print(f"{title:<34}{low:>8.0f}{median:>8.0f}{high:>8.0f}")


if __name__ == "__main__":
    main()
