"""The comparison: every tool in turn, round after round, on the same data.

A round is: the limits, then each tool with its first backup, one after nothing changed, one after a day of changes,
and a restore of that one, which is compared with what it was made from. Rounds are not repeated tool by tool, so that
whatever the machine does meanwhile falls upon all of them.
"""

import datetime
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import limits
from benchmarks.machine import describe_machine, said_by, version_in
from benchmarks.measure import CommandFailed, Cost, Scene
from benchmarks.results import AGAIN, CHANGED, FIRST, LIMIT, RESTORE, RIGHT, VERIFY, Comparison, Data, Run
from benchmarks.school import TABLES
from benchmarks.source import DATABASE, Print, Source, differences, make_source, running_server
from benchmarks.tools import Runner, Stage, Tool, Unavailable, runner_command
from benchmarks.trash import take_away
from tests.servers.postgresql import Cluster

SHOWN_DIFFERENCES = 3
LIMIT_NAMES = {limit.name: ("limit", limit.title) for limit in limits.LIMITS}


@dataclass(frozen=True, slots=True)
class Settings:
    """`cache` keeps data and peers between runs, and holds the work folder of this one."""

    cache: Path
    scale: float
    rounds: int
    command: str

    @property
    def work(self) -> Path:
        return self.cache / "work"

    @property
    def peers(self) -> Path:
        return self.cache / "peers"

    @property
    def trash(self) -> Path:
        return self.cache / "trash"


@dataclass(slots=True)
class _Round:
    """One round's work: where it is done, and the runs that came of it."""

    number: int
    source: Source
    settings: Settings
    runs: list[Run] = field(default_factory=list)

    def stage(self) -> Stage:
        """An empty folder for a tool, and the application as it was made."""
        self.source.reset()
        return new_stage(self.settings, self.source)

    def measure(self, stage: Stage, script: str, *, watched: bool = True) -> Cost:
        return scene_of(stage).measure(script, watched=watched)

    def keep(self, tool: tuple[str, str], operation: str, cost: Cost | None, verdict: str = "") -> None:
        run = Run(*tool, operation, self.number, cost, verdict)
        self.runs.append(run)
        seconds = "failed" if cost is None else f"{cost.wall_seconds:8.2f} s"
        print(f"  {self.number}  {seconds:>10}  {operation:8} {run.title}  {verdict}", file=sys.stderr, flush=True)


def compare(tools: Sequence[Tool], settings: Settings) -> Comparison:
    """Run everything, and check every restore."""
    usable, unavailable = _installed(tools, settings.peers)
    runs: list[Run] = []
    with bench(settings) as cluster:
        source = make_source(cluster, settings.cache, settings.work, settings.scale)
        machine, versions = describe_machine(settings.cache), versions_of(usable, settings, cluster)
        data = _measure_data(source)
        expected = _expected(source)
        for number in range(1, settings.rounds + 1):
            now = _Round(number, source, settings)
            _measure_limits(now)
            for tool in usable:
                _measure_tool(now, tool, expected)
            runs += now.runs
    scale, rounds = settings.scale, settings.rounds
    return Comparison(settings.command, today(), scale, rounds, machine, versions, data, unavailable, runs)


@contextmanager
def bench(settings: Settings) -> Iterator[Cluster]:
    """A server, and an empty work folder; the server is gone afterwards, whatever happens, and the folder empty."""
    take_away(settings.work, settings.trash)
    settings.work.mkdir(parents=True)
    try:
        with running_server() as cluster:
            yield cluster
    finally:
        take_away(settings.work, settings.trash)


def new_stage(settings: Settings, source: Source) -> Stage:
    """An empty folder for a tool; what an earlier one left is gone, its caches too."""
    take_away(settings.work / "tool", settings.trash)
    stage = Stage(settings.work / "tool" / "files", source, settings.peers)
    stage.folder.mkdir(parents=True)
    return stage


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def scene_of(stage: Stage) -> Scene:
    """Programs of the server's own version come first. Temporary files are the tool's, its caches are beside them."""
    cluster, home, temporary = stage.source.cluster, stage.folder.parent / "home", stage.folder / "tmp"
    for folder in (home, temporary):
        folder.mkdir(exist_ok=True)
    environment = cluster.environment
    environment |= {
        "PATH": f"{cluster.bin}:{environment['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_RUNTIME_DIR": str(temporary),
        "LC_ALL": "C.UTF-8",
    }
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        environment.pop(name, None)
    return Scene(stage.folder, environment, server_pid(cluster))


def server_pid(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])


def versions_of(tools: Sequence[Tool], settings: Settings, cluster: Cluster) -> dict[str, str]:
    """Of the tools, of the server with its clients, and of what the limits use."""
    server = str(cluster.installation.program("postgres"))
    versions = {"PostgreSQL": version_in(said_by(server, "--version"))}
    versions["OpenSSL"] = version_in(said_by("openssl", "version"))
    for tool in tools:
        versions |= tool.versions(settings.peers)
    return versions


def _installed(tools: Sequence[Tool], peers: Path) -> tuple[list[Tool], dict[str, str]]:
    """Those that can be measured here, and why the others cannot."""
    usable: list[Tool] = []
    unavailable: dict[str, str] = {}
    for tool in tools:
        try:
            tool.install(peers)
        except Unavailable as why:
            unavailable[tool.title] = str(why)
        else:
            usable.append(tool)
    return usable, unavailable


def _measure_data(source: Source) -> Data:
    source.reset()
    sizes = [path.stat().st_size for path in source.media.rglob("*") if path.is_file()]
    ((database_bytes,),) = source.cluster.sql(DATABASE, "SELECT pg_database_size(current_database())")
    rows = sum(source.cluster.sql(DATABASE, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES)
    return Data(len(sizes), sum(sizes), int(database_bytes), rows)


def _expected(source: Source) -> Print:
    """What every restore has to bring back: the application after its day of changes."""
    source.change()
    return source.fingerprint()


def _measure_limits(now: _Round) -> None:
    stage = now.stage()
    now.keep(LIMIT_NAMES[limits.DUMP], LIMIT, now.measure(stage, limits.dump_script(), watched=False))
    now.keep(LIMIT_NAMES[limits.COPY], LIMIT, now.measure(stage, limits.copy_script(stage), watched=False))
    take_away(stage.folder / "copy", now.settings.trash)
    now.measure(stage, limits.prepare_restore_script(stage), watched=False)
    expected = stage.source.fingerprint()
    stage.source.wipe()
    cost = now.measure(stage, limits.restore_script(stage), watched=False)
    now.keep(LIMIT_NAMES[limits.RESTORE], LIMIT, cost, verdict_of(expected, stage.source))


def _measure_tool(now: _Round, tool: Tool, expected: Print) -> None:
    name = (tool.group, tool.title)
    stage = now.stage()
    steps: list[tuple[str, Callable[[], Cost]]] = [
        (FIRST, lambda: now.measure(stage, tool.backup(stage))),
        (AGAIN, lambda: now.measure(stage, tool.backup(stage))),
        (CHANGED, lambda: _changed(now, stage, tool)),
    ]
    try:
        if script := tool.prepare(stage):
            now.measure(stage, script)
        for operation, measured in steps:
            now.keep(name, operation, measured())
        if isinstance(tool, Runner):
            _measure_verify(now, stage, name)
        if tool.restores_over_live:
            now.source.spoil()
        else:
            now.source.wipe()
        cost = now.measure(stage, tool.restore(stage))
        now.keep(name, RESTORE, cost, verdict_of(expected, stage.source))
    except CommandFailed as why:
        done = {run.operation for run in now.runs if run.title == tool.title}
        missing = next(operation for operation in (FIRST, AGAIN, CHANGED, RESTORE) if operation not in done)
        print(why.said, file=sys.stderr)  # it may hold paths, which do not belong into results
        now.keep(name, missing, None, f"failed: exit code {why.code}")


def _changed(now: _Round, stage: Stage, tool: Tool) -> Cost:
    stage.source.change()
    return now.measure(stage, tool.backup(stage))


def _measure_verify(now: _Round, stage: Stage, name: tuple[str, str]) -> None:
    archive = max((stage.folder / "out").glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)
    now.keep(name, VERIFY, now.measure(stage, f"{runner_command()} verify school"))
    now.measure(stage, limits.cut_script(archive))
    now.keep(LIMIT_NAMES[limits.HASH], LIMIT, now.measure(stage, limits.hash_script()))
    now.measure(stage, "rm first second")
    now.keep(LIMIT_NAMES[limits.HASH_PIPED], LIMIT, now.measure(stage, limits.piped_hash_script(archive)))


def verdict_of(expected: Print, source: Source) -> str:
    """`right`, or the first things in which the application differs."""
    different = differences(expected, source.fingerprint())
    if not different:
        return RIGHT
    more = f" and {len(different) - SHOWN_DIFFERENCES} more" if len(different) > SHOWN_DIFFERENCES else ""
    return f"wrong: {', '.join(different[:SHOWN_DIFFERENCES])}{more}"


def chosen(tools: Sequence[Tool], groups: Sequence[str]) -> Iterator[Tool]:
    """Those of the named groups; all where none is named."""
    return (tool for tool in tools if not groups or tool.group in groups)
