"""Which safety copies have had their time. Every doubt keeps one: nothing else may hold what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from runner.model.profile import Variant

YOUNGEST: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SafetyCopy:
    """What the restore `run_id` replaced at `made_at` (aware). `variant`: the halves that are in it."""

    run_id: str
    made_at: datetime
    paths: tuple[Path, ...] = ()
    variant: Variant = Variant.FULL


def copies_to_remove(
    copies: Sequence[SafetyCopy],
    keep_last: int,
    now: datetime,
    verified_backups: Sequence[datetime],
    undo_target: str | None,
) -> list[SafetyCopy]:
    """The copies that may go, oldest first; the newest is never among them.

    One goes only when all of this holds: for each half that it holds, `keep_last` newer copies hold that half too (two
    restores of the database must not push out the only copy of the files); it is seven days old; a backup was made
    and verified after it; `undo_target` is not its run. `verified_backups` are the times at which backups were made
    that hold every half of the profile and were found whole; a time that is still to come is a wrong clock and proves
    nothing.
    """
    oldest_first = sorted(copies, key=lambda copy: copy.made_at)  # of one second: in the order given
    last_backup = max((made_at for made_at in verified_backups if made_at <= now), default=None)
    gone: list[SafetyCopy] = []
    for index, copy in enumerate(oldest_first):
        newer = oldest_first[index + 1 :]
        replaceable = all(
            sum(_holds(other, half) for other in newer) >= max(1, keep_last)
            for half in (Variant.DB_ONLY, Variant.MEDIA_ONLY)
            if _holds(copy, half)
        )
        old = now - copy.made_at >= YOUNGEST
        followed = last_backup is not None and last_backup > copy.made_at
        if replaceable and old and followed and copy.run_id != undo_target:
            gone.append(copy)
    return gone


def _holds(copy: SafetyCopy, half: Variant) -> bool:
    return copy.variant in (Variant.FULL, half)
