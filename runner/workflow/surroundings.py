"""What lies in a folder that is to get its first profile: Django projects, databases of SQLite, folders of uploads."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.databases.sqlite.recognition import is_sqlite
from runner.errors import Refused
from runner.messages import msg

MEDIA_NAMES: Final = ("media", "uploads", "mediafiles")
_PASSED_OVER: Final = frozenset(
    {"backups", "backups_local", "build", "dist", "env", "node_modules", "static", "staticfiles", "venv"}
)
ONEDRIVE: Final = ("OneDriveCommercial", "OneDrive", "OneDriveConsumer")
"""Environment variables that the client of OneDrive sets on Windows."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found in `folder` and in the folders right below it, the nearest first."""

    folder: Path
    manages: tuple[Path, ...]
    sqlite_files: tuple[Path, ...]
    media_folders: tuple[Path, ...]


def look_around(folder: Path) -> Surroundings:
    """Look into `folder`, an absolute path, and one level below. Raises Refused."""
    try:
        below = sorted(each for each in folder.iterdir() if os.path.isdir(each) and not _is_passed_over(each))  # noqa: PTH112
    except OSError as error:
        message = msg("the folder cannot be read: {reason}", reason=error.strerror or str(error))
        raise Refused(message, where=str(folder), hint=msg("name the folder of the application")) from None
    places = [folder, *(each for each in below if each.name not in MEDIA_NAMES)]
    return Surroundings(
        folder=folder,
        manages=tuple(file for place in places if _runs_django(file := place / "manage.py")),
        sqlite_files=tuple(file for place in places for file in _files(place) if is_sqlite(file)),
        media_folders=tuple(
            media
            for place in places
            for name in MEDIA_NAMES
            if os.path.isdir(media := place / name)  # noqa: PTH112
        ),
    )


def suggested_destination(folder: Path, name: str, environ: Mapping[str, str], home: Path) -> Path:
    """A synchronised folder where there is one, for it leaves the machine; otherwise `backups` in the project."""
    told = (Path(environ[variable]) for variable in ONEDRIVE if environ.get(variable))
    for synchronised in (*told, home / "OneDrive"):
        if synchronised.is_dir():
            return synchronised / "Backups" / name
    return folder / "backups"


def _is_passed_over(folder: Path) -> bool:
    """By the functions of `os.path`, which never raise: a server's own folder may be closed to us."""
    return folder.name.startswith(".") or folder.name in _PASSED_OVER or os.path.exists(folder / "pyvenv.cfg")  # noqa: PTH110


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.is_file())
    except OSError:
        return


def _runs_django(file: Path) -> bool:
    try:
        return os.path.isfile(file) and b"django" in file.read_bytes().lower()  # noqa: PTH113 - never raises
    except OSError:
        return False
