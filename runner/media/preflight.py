"""What can be known to fail before a media root is replaced: asked of the place, and of the names that come back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Finding
from runner.media.site import Site
from runner.media.traits import FileSystemTraits, unholdable, usual_traits
from runner.media.trees import remove_tree, unchanged_time
from runner.messages import msg, printable


@dataclass(slots=True)
class MediaPreflight:
    """Everything that speaks against a restore (`errors`, each with a hint) or that a person should know."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def inspect_site(
    site: Site, paths: Iterable[bytes], size_bytes: int, traits: Callable[[Path], FileSystemTraits]
) -> MediaPreflight:
    """See `MediaRestoration.preflight`. `traits` tries names in a folder that it makes. Raises OSError.

    `paths` is read once and not kept: there may be a million of them.
    """
    found = MediaPreflight()
    found.errors += site.obstacles()
    if found.errors:
        return found
    if not site.root.parent.is_dir():
        text = msg("the folder above the media root is not there and will be made")
        hint = msg("check that the disk it belongs on is mounted")
        found.warnings.append(Finding("media.parent", text, printable(str(site.root)), hint))
    coming = _Counted(paths)
    # The longer of the root and the folder in which its successor is made.
    found.errors += unholdable(coming, Path(site.marks(site.way()).staged), _probed(site, traits))
    found.errors += site.room(size_bytes, coming.count)
    return found


class _Counted:
    """Paths, less that of the root itself, counted as they pass."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._paths = paths
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for path in filter(None, self._paths):
            self.count += 1
            yield path


def _probed(site: Site, traits: Callable[[Path], FileSystemTraits]) -> FileSystemTraits:
    with unchanged_time(site.probe().parent):
        try:
            remove_tree(site.probe())
            return traits(site.probe())
        except PermissionError:
            return usual_traits()
        finally:  # also when a signal came as it was made
            remove_tree(site.probe())
