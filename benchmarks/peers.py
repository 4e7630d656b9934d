"""The tools that are fetched for the comparison, each from its registry into a folder of its own, and the whole list.

None of them is a dependency of this project. What is fetched once stays in the cache.
"""

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import said_by, version_in
from benchmarks.source import DATABASE
from benchmarks.tools import NAIVE, OURS, OURS_LEAN, PIPELINE, Stage, Tool, Unavailable


@dataclass(frozen=True, slots=True)
class Borgmatic(Tool):
    """borgmatic with borg, to a local repository without encryption. `lanes`: see `BORGMATIC_LANES`."""

    lanes: bool = False

    def install(self, peers: Path) -> None:
        hint = (
            "; borgbackup is built where it is installed: it needs a compiler and, on Debian, the packages"
            " libacl1-dev liblz4-dev libssl-dev libxxhash-dev libzstd-dev pkg-config"
        )
        _make_venv(peers / "borgmatic", ["borgmatic", "borgbackup<2"], hint)

    def versions(self, peers: Path) -> dict[str, str]:
        bin_folder = peers / "borgmatic" / "bin"
        return {
            "borgmatic": version_in(said_by(str(bin_folder / "borgmatic"), "--version")),
            "borg": version_in(said_by(str(bin_folder / "borg"), "--version")),
        }

    def prepare(self, stage: Stage) -> str:
        cluster = stage.source.cluster
        database: dict[str, object] = {"name": DATABASE, "hostname": cluster.host, "port": cluster.port}
        database |= {"username": cluster.user} | (BORGMATIC_LANES if self.lanes else {})
        configuration = {
            "source_directories": [str(stage.source.media)],
            "repositories": [{"path": str(stage.folder / "repository"), "label": "bench"}],
            "local_path": str(stage.peers / "borgmatic" / "bin" / "borg"),
            "unknown_unencrypted_repo_access_is_ok": True,
            "postgresql_databases": [database],
        }
        # JSON is YAML.
        (stage.folder / "borgmatic.yaml").write_text(json.dumps(configuration, ensure_ascii=False), "utf-8")
        return f"{self._command(stage)} repo-create --encryption none"

    def backup(self, stage: Stage) -> str:
        return f"{self._command(stage)} create"

    def restore(self, stage: Stage) -> str:
        command = self._command(stage)
        path = shlex.quote(str(stage.source.media).lstrip("/"))
        return f"{command} extract --archive latest --path {path} --destination /\n{command} restore --archive latest"

    def _command(self, stage: Stage) -> str:
        return f"{_program(stage, 'borgmatic', 'bin', 'borgmatic')} --config borgmatic.yaml --verbosity -1"


# A dump that borg can compress and that pg_dump and pg_restore make and read by two at once, but not by a pipe.
BORGMATIC_LANES: dict[str, object] = {
    "format": "directory",
    "compression": 0,
    "options": "--jobs 2",
    "restore_options": "--jobs 2",
}


@dataclass(frozen=True, slots=True)
class Restic(Tool):
    """restic, to a local repository; the dump goes in and comes out by a pipe. `compression` is restic's option."""

    compression: str = "auto"

    def install(self, peers: Path) -> None:
        if not (peers / "restic" / "restic").exists():
            _fetch_restic(peers / "restic")

    def versions(self, peers: Path) -> dict[str, str]:
        return {"restic": version_in(said_by(str(peers / "restic" / "restic"), "version"))}

    def prepare(self, stage: Stage) -> str:
        return f"{self._command(stage)} init"

    def backup(self, stage: Stage) -> str:
        command = self._command(stage)
        return (
            f"pg_dump {DATABASE} | {command} backup --tag database --stdin --stdin-filename {DATABASE}.sql\n"
            f"{command} backup --tag media {stage.media}"
        )

    def restore(self, stage: Stage) -> str:
        command = self._command(stage)
        return (
            f"{command} restore latest --tag media --target /\n"
            f"{command} dump --tag database latest {DATABASE}.sql"
            f" | psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d {DATABASE}"
        )

    def _command(self, stage: Stage) -> str:
        program = _program(stage, "restic", "restic")
        return f"RESTIC_PASSWORD=bench {program} --quiet --repo repository --compression {self.compression}"


DJANGO_SETTINGS = """\
SECRET_KEY = "bench"
INSTALLED_APPS = ["dbbackup"]
USE_TZ = True
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{database!r}}}}}
MEDIA_ROOT = {media!r}
FILES = "django.core.files.storage.FileSystemStorage"
STORAGES = {{
    "default": {{"BACKEND": FILES}},
    "dbbackup": {{"BACKEND": FILES, "OPTIONS": {{"location": {results!r}}}}},
    "staticfiles": {{"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}},
}}
DBBACKUP_HOSTNAME = "bench"
# The newest backup is found by the date in its name: a second is too long for a small school.
DBBACKUP_DATE_FORMAT = "%Y-%m-%d-%H%M%S-%f"
DBBACKUP_CONNECTORS = {connectors!r}
"""


@dataclass(frozen=True, slots=True)
class Dbbackup(Tool):
    """django-dbbackup in the smallest Django project that it works in. `store`: not even the dump is compressed."""

    gzip: bool = False
    store: bool = False

    def install(self, peers: Path) -> None:
        _make_venv(peers / "django-dbbackup", ["django-dbbackup", "psycopg[binary]"], "")

    def versions(self, peers: Path) -> dict[str, str]:
        python = str(peers / "django-dbbackup" / "bin" / "python")
        asked = "from importlib.metadata import version; print(version({!r}))"
        return {name: said_by(python, "-c", asked.format(name)) for name in ("django-dbbackup", "Django")}

    def prepare(self, stage: Stage) -> str:
        cluster, results = stage.source.cluster, stage.folder / "results"
        results.mkdir()
        database = {"NAME": DATABASE, "HOST": cluster.host, "PORT": str(cluster.port), "USER": cluster.user}
        settings = DJANGO_SETTINGS.format(
            database=database,
            media=str(stage.source.media),
            results=str(results),
            connectors={"default": {"DUMP_SUFFIX": "-Z0"}} if self.store else {},
        )
        (stage.folder / "settings.py").write_text(settings, "utf-8")
        return ""

    def backup(self, stage: Stage) -> str:
        option = " --compress" if self.gzip else ""
        command = self._command(stage)
        return f"{command} dbbackup --noinput -v 0{option}\n{command} mediabackup --noinput -v 0{option}"

    def restore(self, stage: Stage) -> str:
        option = " --uncompress" if self.gzip else ""
        command = self._command(stage)
        return f"{command} mediarestore --noinput -v 0{option}\n{command} dbrestore --noinput -v 0{option}"

    def _command(self, stage: Stage) -> str:
        python = _program(stage, "django-dbbackup", "bin", "python")
        return f"PYTHONPATH=. DJANGO_SETTINGS_MODULE=settings {python} -m django"


TOOLS: tuple[Tool, ...] = (
    OURS,
    OURS_LEAN,
    NAIVE,
    PIPELINE,
    Dbbackup("django-dbbackup", "django-dbbackup, gzip", gzip=True),
    Dbbackup("django-dbbackup", "django-dbbackup, default: the dump compressed by pg_dump"),
    Dbbackup("django-dbbackup", "django-dbbackup, no compression at all", store=True),
    Borgmatic("borgmatic", "borgmatic, default: lz4"),
    Borgmatic("borgmatic", "borgmatic, directory format, two jobs", lanes=True),
    Restic("restic", "restic, default"),
    Restic("restic", "restic, no compression", compression="off"),
)


def _program(stage: Stage, *parts: str) -> str:
    return shlex.quote(str(stage.peers.joinpath(*parts)))


def _make_venv(folder: Path, requirements: list[str], hint: str) -> None:
    """An environment of its own, whole once its mark is there. Raises `Unavailable`."""
    mark = folder / ".installed"
    if mark.exists():
        return
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    try:
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements)
    except Unavailable as why:
        raise Unavailable(f"{why}{hint}") from why
    mark.touch()


def _fetch_restic(folder: Path) -> None:
    """Debian's package, unpacked and not installed: it is one program without dependencies."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run("apt-get", "download", "restic", cwd=folder)
    (package,) = folder.glob("restic_*.deb")
    _run("dpkg-deb", "--extract", str(package), "unpacked", cwd=folder)
    (folder / "unpacked" / "usr" / "bin" / "restic").rename(folder / "restic")


def _run(*command: str, cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as why:
        raise Unavailable(f"`{command[0]}` is not there") from why
    except subprocess.CalledProcessError as why:
        print(why.stderr, file=sys.stderr)  # it may hold paths and addresses, which do not belong into results
        raise Unavailable(f"`{Path(command[0]).name}` could not fetch or install it") from why
