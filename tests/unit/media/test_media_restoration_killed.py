"""A media root's restore, killed at every call that changes something, goes on or goes back."""

import os
from pathlib import Path

import pytest

from runner.model.marks import Side
from tests.unit.media import restoring
from tests.unit.media.places import SHARES, Place, prepare, strikes, without_excluded
from tests.unit.media.restoring import EXCLUDE, RUN, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, links and kills of POSIX systems")


def old_picture(place: Place) -> dict[str, tuple[object, ...]]:
    place.fresh()
    return picture(place.root)


def assert_old(place: Place, old: dict[str, tuple[object, ...]]) -> None:
    place.act("swap_back")
    assert place.side() is Side.OLD
    place.act("discard")
    assert (sound(place, picture(place.root)), place.leftovers()) == (sound(place, old), [])


def ours(place: Place) -> dict[str, tuple[object, ...]]:
    return {path: found for path, found in picture(place.root).items() if not path.startswith(".runner")}


def sound(place: Place, found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """All that a kill leaves exact: by entries, the time of the root itself may be that of the kill."""
    mode, _, content = found["."]
    return found | {".": (mode, None, content)} if os.path.ismount(place.root) else found


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["swap", "carry", "swap_back"])
def test_killed_then_back(place: Place, step: str, share: int) -> None:
    old = old_picture(place)
    for _ in strikes(place, step, share):
        assert place.side() is not Side.UNCLEAR
        assert_old(place, old)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["swap", "carry", "swap_back", "keep"])
def test_killed_then_forward(place: Place, tmp_path: Path, step: str, share: int) -> None:
    old, whole = old_picture(place), {}
    for earlier in ("stage", "swap", "carry"):
        place.act(earlier)
    whole = ours(place)
    place.act("keep")
    kept = picture(place.kept)
    assert kept == without_excluded(old)
    for _ in strikes(place, step, share):
        if step == "keep":
            assert place.side() is Side.NEW
        elif place.side() is not Side.NEW:
            if place.side() is Side.OLD and not place_is_staged(place):
                continue
            place.act("swap")
        if step != "keep":
            restoring.restoration(place.root, place.journal, exchange=place.exchange).carry(EXCLUDE)
        place.act("keep")
        assert sound(place, ours(place)) == sound(place, whole)
        assert sound(place, picture(place.kept)) == sound(place, kept)
        assert (place.side(), place.leftovers()) == (Side.NEW, [])


def place_is_staged(place: Place) -> bool:
    marks = restoring.restoration(place.root, place.journal).marks
    return Path(marks.staged).exists()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["stage", "discard"])
def test_killed_before_the_swap(place: Place, step: str, share: int) -> None:
    old = old_picture(place)
    for _ in strikes(place, step, share * 2 if share > 1 else 1):
        assert place.side() is Side.OLD
        place.act("discard")
        assert (picture(place.root, times=False), place.leftovers()) == (
            {path: (found[0], None, found[2]) for path, found in old.items()},
            [],
        )


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_letting_go(place: Place, share: int) -> None:
    for _ in strikes(place, "let_go", share):
        assert place.side() is Side.NEW
        place.act("let_go")
        assert (place.side(), place.leftovers()) == (Side.NEW, [])


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_keeping_on_another_disk(media: Path, other_disk: Path, share: int) -> None:
    place = Place(media.parent, media, other_disk / "backups_local" / "kept", exchange=True)
    kept = without_excluded(picture(media))
    for _ in strikes(place, "keep", share):
        assert place.side() is Side.NEW
        if place.kept.exists():
            assert picture(place.kept) == kept
        place.act("keep")
        assert picture(place.kept) == kept
        assert (place.leftovers(), [path.name for path in place.kept.parent.iterdir()]) == ([], ["kept"])


def test_what_the_application_makes_meanwhile_is_set_aside(place: Place) -> None:
    if not os.path.ismount(place.root):
        pytest.skip("entries move one by one only in a mount point")
    new, replaced = (place.root / f".runner-{RUN.run_id}.{which}" for which in ("new", "old"))
    for number in range(1, 30):
        prepare(place, "swap")
        place.killed("swap", "renameat2", number)
        if (replaced / "up").exists() and (new / "content/receipts").exists():
            break
    (place.root / "receipts").mkdir()
    (place.root / "receipts" / "written meanwhile").write_text("by the application")
    place.act("swap")
    assert (place.root / "receipts/three").read_text() == "new three"
    aside = replaced / "content" / "receipts.appeared-1" / "written meanwhile"
    assert aside.read_text() == "by the application"
