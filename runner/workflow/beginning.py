"""`runner init`: write a project's first files, all of them or none. What is in them is decided before."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runner import config
from runner.config.reading import DEFAULT_SAFETY_COPIES, DEFAULT_STATE
from runner.errors import Refused
from runner.messages import msg
from runner.workflow.profile_text import Beginning, backup_text, profile_text


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written: `root_file` is the backup.yml, its own or one that was there."""

    root_file: Path
    written: tuple[Path, ...]


def name_for(folder: Path) -> str:
    """A profile's name made of a folder's: `École du Nord` gives `ecole_du_nord`."""
    letters = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", letters.lower()).strip("_") or "application"


def check_name(folder: Path, name: str) -> None:
    """Raises Refused where `name` is none for a profile, or is taken; ConfigurationInvalid for a wrong backup.yml."""
    if not config.is_profile_name(name):
        hint = msg("begin with a letter or digit, and use letters, digits, `.`, `_` and `-`")
        raise Refused(msg("`{name}` is no name for a profile", name=name), hint=hint)
    root = _root(folder)
    taken = None if root is None else next((each for each in root.names if each.casefold() == name.casefold()), None)
    if root is not None and taken is not None:
        message = msg("there is a profile `{name}` already", name=taken)
        hint = msg("edit it, or choose another name: `runner init --name NAME`")
        raise Refused(message, where=str(root.file_of(taken)), hint=hint)


def check_destination(folder: Path, destination: Path, *, was_named: bool) -> None:
    """Raises Refused for a folder that is no place for archives.

    One that a person named is made only where the folder above it is there: a disk that is not connected must not
    become a folder of its own.
    """
    if destination.exists() and not destination.is_dir():
        raise Refused(msg("it is no folder"), where=str(destination), hint=msg("name a folder with `--dest`"))
    if was_named and not destination.is_relative_to(folder) and not destination.parent.is_dir():
        hint = msg("connect the disk, or make the folder first")
        raise Refused(msg("there is no folder {folder}", folder=destination.parent), where="--dest", hint=hint)


def begin(beginning: Beginning) -> Begun:
    """Write backup.yml where there is none, the profile, the lines of .gitignore; make the destination.

    Raises Refused where something cannot be written; what had been written is taken away then.
    """
    check_name(beginning.folder, beginning.name)
    root = _root(beginning.folder)
    root_file = beginning.folder / config.BACKUP_FILE
    profiles = beginning.folder / config.PROFILES_FOLDER if root is None or root.profiles is None else root.profiles
    written: list[Path] = []
    with _taken_back_on_failure(written):
        _make_folder(beginning.destination, written)
        _make_folder(profiles, written)
        _write_new(profiles / f"{beginning.name}.yml", profile_text(beginning), written)
        if root is None:
            _write_new(root_file, backup_text(), written)
        ignored = _ignore(beginning)
    files = [path for path in reversed(written) if not path.is_dir()]
    return Begun(root_file, (*files, *ignored))


def _root(folder: Path) -> config.Root | None:
    file = folder / config.BACKUP_FILE
    return config.find_root(file, Path.cwd()) if file.exists() else None


def _make_folder(folder: Path, written: list[Path]) -> None:
    """With those above it, each of which is noted."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(absent):
        each.mkdir()
        written.append(each)


def _write_new(path: Path, text: str, written: list[Path]) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        written.append(path)
        file.write(text)


@contextmanager
def _taken_back_on_failure(written: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        for path in reversed(written):
            with suppress(OSError):  # a folder that is not empty stays
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            message = msg("it cannot be written: {reason}", reason=error.strerror or str(error))
            hint = msg("make the folder writable, or name another one")
            raise Refused(message, where=str(error.filename), hint=hint) from None
        raise


def _ignore(beginning: Beginning) -> Iterator[Path]:
    """What no repository should hold: backups, safety copies, state. The file, where it had to be changed."""
    file = beginning.folder / ".gitignore"
    wanted = [DEFAULT_STATE, DEFAULT_SAFETY_COPIES]
    if beginning.destination.is_relative_to(beginning.folder):
        wanted.append(beginning.destination.relative_to(beginning.folder).as_posix())
    before = file.read_bytes() if file.exists() else b""
    known = {line.strip().strip(b"/") for line in before.splitlines()}
    missing = [name for name in wanted if os.fsencode(name) not in known]
    if not missing:
        return iter(())
    start = b"" if not before or before.endswith(b"\n") else b"\n"
    with file.open("ab") as stream:
        stream.write(start + b"".join(b"/" + os.fsencode(name) + b"/\n" for name in missing))
    return iter((file,))
