"""What the system refuses while media come back, as our errors: the one place that turns OSError into them."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import IntegrityError, StepFailed
from runner.messages import Message, msg, printable

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NAME_REFUSED = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@contextmanager
def mapped(where: Path, *, keeps: bool = False) -> Iterator[None]:
    """Raises StepFailed for every OSError inside; `where` is named when the system names nothing.

    `keeps`: it is the safety copy that is made there.
    """
    try:
        yield
    except OSError as error:
        raise step_failed(error, where, keeps=keeps) from error


def step_failed(error: OSError, where: Path, *, keeps: bool = False) -> StepFailed:
    """The error for the user, with a way out that fits what the system said."""
    name = error.filename if isinstance(error.filename, str) and Path(error.filename).is_absolute() else str(where)
    reason = error.strerror or str(error)
    message = msg("the media folder cannot be put back: {reason}", reason=reason)
    if keeps:
        message = msg("what was replaced cannot be moved or copied there: {reason}", reason=reason)
    return StepFailed(message, where=printable(name), hint=_hint(error))


def name_refused(error: OSError) -> bool:
    """Whether the file system cannot hold the name itself."""
    return error.errno in _NAME_REFUSED


def unsafe(name: str, reason: Message) -> IntegrityError:
    """The error for a member that no backup of ours holds; nothing of it was written."""
    return IntegrityError(
        msg("`{member}` is refused: {reason}", member=printable(name), reason=reason),
        where=printable(name),
        hint=msg("the archive was altered or is not one of ours; restore another one"),
    )


def altered(name: str, reason: Message) -> IntegrityError:
    """The error for content that is not what the archive's own inventory says."""
    return IntegrityError(
        msg("`{member}` is not what was backed up: {reason}", member=printable(name), reason=reason),
        where=printable(name),
        hint=msg("the archive is damaged; restore another one, or use `--accept-damage` for a last surviving copy"),
    )


def _hint(error: OSError) -> Message:
    if error.errno in _NO_SPACE:
        return msg("free some space on this file system, then restore again")
    if error.errno == errno.EBUSY:
        return msg("something is mounted or in use there; stop the application, then try again")
    if isinstance(error, PermissionError):
        if sys.platform == "win32":
            return msg(
                "Windows renames no folder in which a file is open: stop the application for the restore, with the "
                "hooks `before_restore` and `after_restore`, then try again"
            )
        return msg("run as the user that owns the folder, or allow this user to write to it and to the one above it")
    return msg("check the disk and the permissions of the folder, then try again")
