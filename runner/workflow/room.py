"""Is there room for the archive? Asked once what it will hold is known, before anything of it is written.

Nobody is refused who would have had room: only files whose type does not shrink are counted, and half of what the last
backup of the same kind took.
"""

import os
import shutil
from pathlib import Path

from runner.errors import DestinationFailed, Refused, RunnerError
from runner.messages import Message, msg
from runner.model.profile import LocalDestination, Profile, Variant
from runner.model.remembered import LastBackup
from runner.workflow.media import Survey

_HINT = msg("free some space there, or use a folder on a larger disk")
_MUCH_LESS = 0.5  # the least share of what the last backup took that this one is expected to take


def least_bytes(found: Survey | None, variant: Variant, last: LastBackup | None) -> int:
    """The files that do not shrink, or half of what the last backup of this kind took, if that is more."""
    certain = 0 if found is None else found.stored_bytes
    if last is None or last.variant != variant.value or last.archive_bytes is None:
        return certain
    return max(certain, int(last.archive_bytes * _MUCH_LESS))


def check_room(profile: Profile, need: int) -> list[RunnerError]:
    """What is wrong when the state folder's disk has too little room, or every destination's has.

    One destination that is large enough will do; the others tell it when their turn comes.
    """
    if (reason := _too_little(profile.state, need)) is not None:
        return [Refused(reason, where=os.fspath(profile.state), hint=_HINT)]
    errors: list[RunnerError] = []
    for destination in profile.destinations:
        match destination:
            case LocalDestination(path=path):
                if (reason := _too_little(path, need)) is None:
                    return []
                errors.append(DestinationFailed(reason, where=os.fspath(path), hint=_HINT))
    return errors


def _too_little(folder: Path, need: int) -> Message | None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    if free >= need:
        return None
    return msg(
        "too little room for the archive: {free} MiB are free and at least {needed} MiB are needed",
        free=free >> 20,
        needed=-(-need >> 20),
    )
