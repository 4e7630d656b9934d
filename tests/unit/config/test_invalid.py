"""Every wrong profile in `tests/data/invalid`, and the text that stands beside it."""

from pathlib import Path

import pytest
import yaml

from runner.config.compose import Composer, compose
from runner.config.source import read_text
from tests.unit.config.projects import checked, render

INVALID = Path(__file__).parents[2] / "data" / "invalid"
NAMES = sorted(path.stem for path in INVALID.glob("*.yml"))
SECRETS = ("hunter2", "correct horse", "4815162342")
UNREADABLE = {"byte-order-mark", "cp1252", "escape-character", "line-separator", "nul-character"}
UNREADABLE |= {"utf-16", "utf-16-without-mark"}


def expected(name: str) -> str:
    return (INVALID / f"{name}.expected.txt").read_text("utf-8")


def test_there_are_enough_and_each_has_its_text() -> None:
    assert len(NAMES) >= 65
    assert {path.name for path in INVALID.iterdir()} == {f"{n}.yml" for n in NAMES} | {
        f"{n}.expected.txt" for n in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_told_at_its_place(name: str) -> None:
    found = checked(INVALID, f"{name}.yml")
    assert render(found.problems) == expected(name)
    assert found.problems
    assert not found.profiles


@pytest.mark.parametrize("name", NAMES)
def test_no_text_shows_a_secret(name: str) -> None:
    text = expected(name)
    assert text.isascii()
    assert not any(secret in text.casefold() for secret in SECRETS)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNREADABLE])
def test_both_parsers_of_pyyaml_say_the_same(name: str) -> None:
    text = read_text(INVALID / f"{name}.yml", name)
    assert render(compose(text, name, loader=yaml.SafeLoader).problems) == render(compose(text, name).problems)


@pytest.mark.parametrize(
    "name", ["billion-laughs", "merge-bomb", "alias-chain", "deep-nesting", "deep-mappings", "too-many-values"]
)
def test_what_explodes_costs_little_and_says_one_thing(name: str) -> None:
    composer = Composer(read_text(INVALID / f"{name}.yml", name), name, CountingLoader)
    CountingLoader.events = 0
    problems = composer.document().problems
    assert len(problems) == 1
    assert composer.visited <= 10_001
    assert CountingLoader.events <= 10_100


class CountingLoader(yaml.SafeLoader):
    """Counts the events that were asked for: what the work of the parser is proportional to."""

    events = 0

    def get_event(self) -> yaml.Event | None:
        CountingLoader.events += 1
        event: yaml.Event | None = super().get_event()  # type: ignore[no-untyped-call]  # its stub has none
        return event
