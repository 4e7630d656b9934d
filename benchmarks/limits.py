"""What this machine can do at best: the same work by PostgreSQL's and the system's own programs, without a backup tool.

Nothing here is a backup. Each limit is a pure part of one, run under the same measurement and with the same flush.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from benchmarks.source import DATABASE
from benchmarks.tools import Stage

DUMP = "pg_dump"
COPY = "cp"
RESTORE = "restore"
HASH = "hash"
HASH_PIPED = "hash-piped"


@dataclass(frozen=True, slots=True)
class Limit:
    """`name` is the key in the results, `title` says exactly what runs."""

    name: str
    title: str


LIMITS = (
    Limit(DUMP, "pg_dump > /dev/null"),
    Limit(COPY, "cp -a media"),
    Limit(RESTORE, "pg_restore -j2 (uncompressed directory format) and tar -x of the media, run at once"),
    Limit(HASH, "openssl sha256 of the two halves of runner's archive, cut into two files before, run at once"),
    Limit(HASH_PIPED, "the same, the halves read out of the one archive through head and tail"),
)


def dump_script() -> str:
    return f"pg_dump {DATABASE} > /dev/null"


def copy_script(stage: Stage) -> str:
    return f"cp -a {stage.media} copy"


def prepare_restore_script(stage: Stage) -> str:
    """What has to be there for `restore_script`; not measured."""
    return f"pg_dump -Fd -j2 -Z0 -f dump {DATABASE}\ntar -cf media.tar -C {stage.application} media"


def restore_script(stage: Stage) -> str:
    """Both halves at once; the slower one decides."""
    return _both(f"tar -xf media.tar -C {stage.application}", f"pg_restore -j2 -d {DATABASE} dump")


def cut_script(archive: Path) -> str:
    """What has to be there for `hash_script`; not measured."""
    first, second = _halves(archive)
    return f"{first} > first\n{second} > second"


def hash_script() -> str:
    """`openssl dgst -sha256` of either half."""
    return _both("openssl dgst -sha256 first", "openssl dgst -sha256 second")


def piped_hash_script(archive: Path) -> str:
    """The same without a copy on the disk; reading through `head` and `tail` costs copies in memory."""
    return _both(*(f"{half} | openssl dgst -sha256" for half in _halves(archive)))


def _halves(archive: Path) -> tuple[str, str]:
    """The commands that write either half to stdout."""
    half = archive.stat().st_size // 2
    name = shlex.quote(str(archive))
    return f"head -c {half} {name}", f"tail -c +{half + 1} {name}"


def _both(beside: str, here: str) -> str:
    """Two commands at once; either one's failure is a failure."""
    return f'{beside} &\nbeside=$!\n{here}\nwait "$beside"'
