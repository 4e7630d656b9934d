"""Which archive a person means, by a name, a pattern, a time, or nothing at all."""

import difflib
import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from runner.errors import ArchiveUnknown, Finding, RunnerError, UsageError, raise_all
from runner.messages import msg
from runner.model.profile import Profile, Variant
from runner.workflow.catalogue import Catalogue, Listed, Mark, list_archives

LATEST = "latest"
_SHOWN = 5

NEVER_UNASKED = frozenset({Mark.FUTURE, Mark.FOREIGN})
"""Marks of archives that are taken by their exact name alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for: `latest`, a name, a pattern of names or a path; `at` (aware): no later than that."""

    text: str = LATEST
    at: datetime | None = None

    def fits(self, listed: Listed) -> bool:
        """Whether name and time are as asked for, whoever made it."""
        if self.text != LATEST and not fnmatch.fnmatchcase(listed.name, self.text):
            return False
        return self.at is None or (listed.created_at is not None and listed.created_at <= self.at)

    def takes(self, listed: Listed) -> bool:
        """Whether it may be taken without having been named."""
        return self.fits(listed) and not listed.marks & NEVER_UNASKED

    def refuse_a_time(self) -> None:
        """One archive and a time cannot both be asked for. Raises UsageError."""
        if self.at is not None:
            raise UsageError(
                msg("`{name}` is one archive: a time cannot choose among it", name=self.text),
                hint=msg("leave out `--at`, or the name"),
            )


def is_pattern(text: str) -> bool:
    """Whether `text` means every name that it matches (`*`, `?`, `[…]`)."""
    return any(character in text for character in "*?[")


def choose(profile: Profile, wanted: Wanted, now: datetime) -> tuple[Listed, tuple[Finding, ...]]:
    """The archive that `wanted` means: a name at a destination, a pattern, `latest`, the newest before a time.

    A name wins over a pattern, and is the only way to an archive of another instance or of the future. Everything else
    takes the newest that fits, damaged ones included: an older one is never taken unasked. `latest` is a legacy archive
    only when there is nothing else. That it is one is a warning; so is a destination that could not be asked. Raises
    ArchiveUnknown, or DestinationFailed when it may lie where nobody could look, or UsageError for a name and a time.
    """
    catalogue = list_archives(profile, now)
    if wanted.text != LATEST:
        exact = _named(catalogue, wanted.text)
        if exact is not None:
            wanted.refuse_a_time()
            return exact, ()
        if not is_pattern(wanted.text):
            raise_all(catalogue.failed)
            raise _unknown(catalogue, wanted.text)
    fitting = [listed for listed in catalogue.archives if wanted.takes(listed)]
    own = [listed for listed in fitting if Mark.LEGACY not in listed.marks]
    usable = own if own and wanted == Wanted() else fitting
    if not usable:
        raise_all(catalogue.failed)
        raise _none(profile, catalogue, wanted)
    warnings = [_unseen(error) for error in catalogue.failed]
    if Mark.LEGACY in usable[0].marks:
        warnings.append(_legacy_taken(usable[0], alone=not own))
    return usable[0], tuple(warnings)


def good_candidates(profile: Profile, now: datetime, than: Listed, wanted: Variant) -> Iterator[Listed]:
    """Archives that may stand in for `than`, newest first: of this instance, with checksums, not known to be damaged.

    They hold every half that is `wanted`. Another copy of the same archive is one of them.
    """
    for listed in list_archives(profile, now).archives:
        is_itself = listed.name == than.name and listed.destination.label == than.destination.label
        if not is_itself and not listed.marks and listed.variant in (Variant.FULL.value, wanted.value):
            yield listed


def _named(catalogue: Catalogue, name: str) -> Listed | None:
    return next((listed for listed in catalogue.archives if listed.name == name), None)


def _unknown(catalogue: Catalogue, wanted: str) -> ArchiveUnknown:
    names = list(dict.fromkeys(listed.name for listed in catalogue.archives))
    close = difflib.get_close_matches(wanted, names, 1, 0.8) or names[:_SHOWN]
    hint = msg("the closest or newest are {names}", names=_quoted(close)) if close else msg("there is none yet")
    return ArchiveUnknown(msg("there is no archive `{name}`", name=wanted), hint=hint)


def _unseen(error: RunnerError) -> Finding:
    return Finding(
        error.code,
        error.message,
        error.where,
        msg("a newer archive may lie there: connect it and try again, or name the archive you mean"),
    )


def _legacy_taken(listed: Listed, *, alone: bool) -> Finding:
    message = (
        msg("`{name}` is of an older script and has no checksums; there is no other", name=listed.name)
        if alone
        else msg("`{name}` is of an older script and has no checksums", name=listed.name)
    )
    return Finding("archive.legacy", message, listed.destination.label)


def _none(profile: Profile, catalogue: Catalogue, wanted: Wanted) -> ArchiveUnknown:
    if not catalogue.archives:
        return ArchiveUnknown(
            msg("there is no archive of `{profile}` yet", profile=profile.name),
            where=", ".join(str(destination) for destination in profile.destinations),
            hint=msg("make one with `runner apply {profile}`", profile=profile.name),
        )
    fitting = [listed for listed in catalogue.archives if wanted.fits(listed)]
    if fitting:
        return ArchiveUnknown(
            msg("every archive that would do is of another instance or dated in the future"),
            where=profile.name,
            hint=msg("name the one you mean: {names}", names=_quoted([listed.name for listed in fitting[:_SHOWN]])),
        )
    own = [listed for listed in catalogue.archives if not listed.marks & NEVER_UNASKED] or list(catalogue.archives)
    if wanted.at is None:
        return ArchiveUnknown(
            msg("no archive of `{profile}` matches `{pattern}`", profile=profile.name, pattern=wanted.text),
            hint=msg("the newest are {names}", names=_quoted([listed.name for listed in own[:_SHOWN]])),
        )
    return ArchiveUnknown(
        msg("no archive of `{profile}` that would do was made by {at}", profile=profile.name, at=_local(wanted.at)),
        hint=msg("the oldest is {name}", name=_quoted([own[-1].name])),
    )


def _local(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
