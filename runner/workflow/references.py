"""Checks the two halves against each other: every file that the database names is in the archive.

Checked twice: before media is copied, so that a missing file costs seconds, and while it is, because an application
goes on deleting. A file that is gone is looked up in the live database again: row gone too, a warning; row still
there, the file is really missing.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from runner.databases.base import Capture
from runner.durable import make_private_folder
from runner.errors import Finding, ReferencesMissing, RunnerError
from runner.media.references import ReferenceResolver, Resolution, Verdict, reference_key
from runner.media.select import Selection
from runner.messages import Message, msg, printable
from runner.model.manifest import ReferencesRecord
from runner.model.profile import MediaConfig, Profile, Reference
from runner.workflow.places import open_capture

_Named = tuple[Reference, str]
SHOWN = 20
"""How many missing files a text names; JSON has all of them."""


class ReferenceCheck:
    """One backup's check. `run` first, then `archived` for each file, then `finish`."""

    def __init__(self, capture: Capture, media: MediaConfig) -> None:
        self._capture = capture
        self._media = media
        root = Path(os.path.realpath(media.root))
        self._resolve = ReferenceResolver(root, media.url, Selection(media.exclude)).resolve
        self._pending: dict[str, list[_Named]] = {}
        self._gone: set[_Named] = set()
        self._missing: list[str] = []
        self._problems: list[Finding] = []
        self.checked = 0
        self.warnings: list[Finding] = []

    @property
    def names_files(self) -> bool:
        """Whether the database names any file at all."""
        return self.checked > 0

    def run(self, still_right: Callable[[], object] = lambda: None) -> None:
        """Look every value up. Raises ReferencesMissing unless the profile says `on_missing_reference: warn`.

        `still_right` is called for each; what it raises ends the look.
        """
        gone: dict[Reference, list[str]] = defaultdict(list)
        for reference in self._media.references:
            for value in self._capture.referenced(reference):
                still_right()
                self.checked += 1
                resolution = self._resolve(value)
                if resolution.verdict is Verdict.MISSING:
                    gone[reference].append(value)
                else:
                    self._take(reference, value, resolution)
        for reference, values in gone.items():
            self._look_again(reference, values)
        self._raise_problems()

    def is_pending(self, path: str) -> bool:
        """Whether the database names this file (relative, with `/`) and it is not in the archive yet."""
        return reference_key(path) in self._pending

    def archived(self, path: str) -> None:
        """The file is in the archive."""
        self._pending.pop(reference_key(path), None)

    def still_named(self, path: str) -> bool:
        """A second look at the live database for a file that vanished or keeps changing.

        It is a look at everything that is not in the archive yet: who deletes one row deletes more of them.
        """
        named = self._pending.get(reference_key(path), ())
        if not self._gone.issuperset(named):
            self._gone = set(self._left()) - self._named_now()
        return not self._gone.issuperset(named)

    def forget(self, path: str) -> None:
        """The file is gone and so is its row: remember it as missing in the archive, with a warning."""
        for reference, value in self._pending.pop(reference_key(path), ()):
            self._warn_gone(reference, value)

    def finish(self) -> None:
        """Whatever is named and was never met vanished before the walk came by. Raises ReferencesMissing."""
        present = self._named_now()
        for reference, value in self._left():
            if (reference, value) in present:
                message = msg("`{value}` vanished during the backup", value=printable(value))
                self._problem(reference, value, "missing", message)
            else:
                self._warn_gone(reference, value)
        self._raise_problems()

    def record(self) -> ReferencesRecord:
        """What the manifest says of it."""
        return ReferencesRecord(
            columns=tuple(str(reference) for reference in self._media.references),
            checked=self.checked,
            missing=tuple(sorted(printable(value) for value in self._missing)),
        )

    def _left(self) -> list[_Named]:
        return [one for names in self._pending.values() for one in names]

    def _named_now(self) -> set[_Named]:
        """What the live database names of all that is not in the archive yet."""
        left: dict[Reference, list[str]] = defaultdict(list)
        for reference, value in self._left():
            left[reference].append(value)
        return {
            (reference, value)
            for reference, values in left.items()
            for value in self._capture.still_referenced(reference, values)
        }

    def _take(self, reference: Reference, value: str, resolution: Resolution) -> None:
        match resolution.verdict:
            case Verdict.FOUND:
                self._pending.setdefault(reference_key(resolution.path), []).append((reference, value))
            case Verdict.OUTSIDE:
                self._problem(
                    reference, value, "outside", msg("`{value}` leads out of the media root", value=printable(value))
                )
            case Verdict.EXCLUDED:
                self._problem(
                    reference,
                    value,
                    "excluded",
                    msg("`{value}` is left out by `{pattern}`", value=printable(value), pattern=resolution.pattern),
                )
            case Verdict.MISSING:
                self._problem(reference, value, "missing", msg("`{value}` is not there", value=printable(value)))

    def _look_again(self, reference: Reference, values: list[str]) -> None:
        present = self._capture.still_referenced(reference, values)
        for value in values:
            if value in present:
                self._take(reference, value, self._resolve(value))
            else:
                self._warn_gone(reference, value)

    def _warn_gone(self, reference: Reference, value: str) -> None:
        self._missing.append(value)
        self.warnings.append(
            Finding(
                "reference.gone",
                msg("`{value}` was deleted, and its row with it, during the backup", value=printable(value)),
                str(reference),
            )
        )

    def _problem(self, reference: Reference, value: str, kind: str, message: Message) -> None:
        self._missing.append(value)
        self._problems.append(Finding(f"reference.{kind}", message, str(reference)))

    def _raise_problems(self) -> None:
        if not self._problems:
            return
        if self._media.on_missing_reference == "warn":
            self.warnings.extend(self._problems)
            self._problems = []
            return
        raise ReferencesMissing(
            msg(
                "{count} of {checked} files that the database names would not be in the archive",
                count=len(self._problems),
                checked=self.checked,
            ),
            tuple(self._problems),
            hint=msg(
                "bring the files back, or clear the column; with `media.on_missing_reference: warn` the backup is made "
                "without them"
            ),
        )


def unchecked(references: Iterable[Reference]) -> ReferencesRecord | None:
    """The record of a backup that holds only one of the halves."""
    columns = tuple(str(reference) for reference in references)
    return ReferencesRecord(columns=columns, checked=None) if columns else None


def missing_now(profile: Profile, workspace: Path, timestamp: str) -> tuple[Finding, ...]:
    """What the live database names and the live media root does not hold, after one half alone was restored."""
    if profile.database is None or profile.media is None:
        return ()
    media = replace(profile.media, on_missing_reference="warn")
    try:
        make_private_folder(workspace)
        with open_capture(profile.database, workspace, f"{timestamp}_check") as capture:
            check = ReferenceCheck(capture, media)
            check.run()
    except RunnerError as error:
        message = msg("the references could not be checked: {reason}", reason=str(error))
        return (Finding("references.unchecked", message, str(profile.media.root)),)
    return tuple(check.warnings)
