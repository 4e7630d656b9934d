"""The sweep: runner alone, over schools of growing size and over folders of growing number of files.

Time and memory should be straight lines. Each point is the median of its rounds, and each restore is compared with
its source.
"""

import sys
from collections.abc import Iterator

from benchmarks.comparison import Settings, bench, new_stage, scene_of, today, verdict_of, versions_of
from benchmarks.machine import describe_machine
from benchmarks.measure import Cost
from benchmarks.media import write_small_files
from benchmarks.results import RESTORE, RIGHT, VERIFY, Point, Sweep, median_cost
from benchmarks.source import DATABASE, MediaAlone, Source, make_source
from benchmarks.tools import OURS_LEAN, runner_command
from benchmarks.trash import take_away
from tests.servers.postgresql import Cluster

BACKUP = "backup"
SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)
FILES = (1_000, 3_000, 10_000, 30_000, 100_000)


def sweep(settings: Settings) -> Sweep:
    """Sizes up to the scale, and numbers of files up to that share of 100,000; at least two of each."""
    sizes = [size for place, size in enumerate(SIZES) if place < 2 or size <= settings.scale]
    counts = [count for place, count in enumerate(FILES) if place < 2 or count <= settings.scale * FILES[-1]]
    points: list[Point] = []
    with bench(settings) as cluster:
        machine, versions = describe_machine(settings.cache), versions_of([OURS_LEAN], settings, cluster)
        for size in sizes:
            source = make_source(cluster, settings.cache, settings.work, size)
            source.reset()
            points += _measure(settings, "size", _bytes_of(source), source)
        for count in counts:
            points += _measure(settings, "files", count, _small_files(cluster, settings, count))
    return Sweep(settings.command, today(), settings.scale, settings.rounds, machine, versions, points)


def _small_files(cluster: Cluster, settings: Settings, count: int) -> Source:
    """Media alone: a database would cost the same at every point."""
    folder = settings.work / "app"
    source = MediaAlone(cluster, folder, folder / "media", settings.trash)
    take_away(folder, settings.trash)
    write_small_files(source.media, count)
    return source


def _measure(settings: Settings, kind: str, amount: int, source: Source) -> Iterator[Point]:
    """Backup, verify and restore, each round in an empty folder; the round's restore is the next one's source."""
    expected = source.fingerprint()
    costs: dict[str, list[Cost]] = {BACKUP: [], VERIFY: [], RESTORE: []}
    verdicts: list[str] = []
    for _ in range(settings.rounds):
        stage = new_stage(settings, source)
        OURS_LEAN.prepare(stage)
        scene = scene_of(stage)
        costs[BACKUP].append(scene.measure(OURS_LEAN.backup(stage)))
        costs[VERIFY].append(scene.measure(f"{runner_command()} verify school"))
        source.wipe()
        costs[RESTORE].append(scene.measure(OURS_LEAN.restore(stage)))
        verdicts.append(verdict_of(expected, source))
    wrong = [verdict for verdict in verdicts if verdict != RIGHT]
    for operation, found in costs.items():
        median = median_cost(found)
        verdict = (*wrong, RIGHT)[0] if operation == RESTORE else ""
        wall = f"{median.wall_seconds:8.2f} s"
        print(f"  {kind:5} {amount:>13,} {wall}  {operation:8} {verdict}", file=sys.stderr, flush=True)
        yield Point(kind, amount, operation, median, verdict)


def _bytes_of(source: Source) -> int:
    """Tables with their indexes, and media; without the catalogs that an empty database has too."""
    sizes = "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables"
    ((tables,),) = source.cluster.sql(DATABASE, sizes)
    return int(tables) + sum(path.stat().st_size for path in source.media.rglob("*") if path.is_file())
