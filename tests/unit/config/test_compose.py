"""From text to a document: what values mean, where they stand, and that nothing makes it fall over."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.compose import MAX_NODES, compose
from runner.config.document import Document, Value
from runner.config.place import Position

LOADERS = [pytest.param(yaml.SafeLoader, id="python")]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(pytest.param(yaml.CSafeLoader, id="libyaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        *((text, text) for text in ("no", "on", "off", "yes", "Y", "n", "22:30", "1:30:00", "1_000", "2026-01-08")),
        *((text, text) for text in ("0b101", "017_3", "1.2.3", "0o8", "-0x1", "TrUe", "nULL", "1e", ".", "+")),
        ('"true"', "true"),
        ("'1'", "1"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Value) -> None:
    assert compose(f"[{text}]", "x").data == [value]


def test_nan_is_a_number() -> None:
    data = compose("[.nan]", "x").data
    assert isinstance(data, list)
    assert data[0] != data[0]


@pytest.mark.parametrize("loader", LOADERS)
def test_keys_and_values_have_positions(loader: type[Any]) -> None:
    document = compose("# a comment\na: 1\nb:\n  - c: é\n    d: [x,  y]\ne:\n", "f.yml", loader=loader)
    assert document.data == {"a": 1, "b": [{"c": "é", "d": ["x", "y"]}], "e": None}
    assert document.position(("a",), of_key=True) == Position("f.yml", 2, 1)
    assert document.position(("a",)) == Position("f.yml", 2, 4)
    assert document.position(("b", 0)) == Position("f.yml", 4, 5)
    assert document.position(("b", 0, "d", 1)) == Position("f.yml", 5, 13)
    assert document.position(("e",)) == Position("f.yml", 6, 3)


def test_what_is_missing_is_placed_at_what_it_is_missing_from() -> None:
    document = compose("a:\n  b: 1\nc:\n  - d: 1\n", "f.yml")
    assert document.position(("a", "x")) == Position("f.yml", 1, 1)
    assert document.position(("c", 0, "x", "y")) == Position("f.yml", 4, 5)
    assert Document("f.yml").position(("a",)) == Position("f.yml", 1, 1)


@pytest.mark.parametrize("loader", LOADERS)
def test_an_alias_stands_where_it_is_used(loader: type[Any]) -> None:
    document = compose("a: &x\n  k: v\nb: *x\n", "f.yml", loader=loader)
    assert document.data == {"a": {"k": "v"}, "b": {"k": "v"}}
    assert document.position(("b",)) == Position("f.yml", 3, 4)
    assert document.position(("b", "k")) == Position("f.yml", 2, 6)


def test_windows_line_ends_count_as_one() -> None:
    document = compose("a: 1\r\nb: 2\r\n", "f.yml")
    assert document.position(("b",)) == Position("f.yml", 2, 4)


@pytest.mark.parametrize("escape", ["\\0", "\\x1b", "\\ud800", "\\N", "\\U00110000", "\\uFEFF"])
@pytest.mark.parametrize("loader", LOADERS)
def test_escapes_bring_in_no_character_that_a_file_may_not_hold(escape: str, loader: type[Any]) -> None:
    for text in (f'a: "{escape}"\n', f'"{escape}": a\n'):
        assert len(compose(text, "f.yml", loader=loader).problems) == 1


def test_a_document_over_another_keeps_the_places_of_both() -> None:
    lower = compose("x:\n  a: {b: 1, c: [1, 2, 3]}\n  d: 4\n", "lower.yml").below(("x",))
    merged = compose("a:\n  c: [9]\n  e: 5\n", "upper.yml").over(lower)
    assert merged.data == {"a": {"b": 1, "c": [9], "e": 5}, "d": 4}
    assert merged.position(("a",)) == Position("upper.yml", 2, 3)
    assert merged.position(("a",), of_key=True) == Position("upper.yml", 1, 1)
    assert merged.position(("a", "b")) == Position("lower.yml", 2, 10)
    assert merged.position(("a", "c", 0)) == Position("upper.yml", 2, 7)
    assert merged.position(("d",), of_key=True) == Position("lower.yml", 3, 3)
    assert ("a", "c", 2) not in merged.values


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("opening", "column"), [("[", 4 + 50), ("{x: ", 4 + 49 * 4 + 1), ("[[], ", 4 + 49 * 5 + 1)])
def test_too_many_levels_are_found_at_the_first_that_is_too_deep(loader: type[Any], opening: str, column: int) -> None:
    document = compose(f"a: 1\nb: {opening * 2000}", "f.yml", loader=loader)
    (problem,) = document.problems
    assert str(problem.message) == "nested more than 50 levels deep"
    assert (problem.line, problem.column) == (2, column)


SIGNS = [
    "a",
    "b: ",
    "- ",
    "? ",
    ": ",
    "\n",
    "\n  ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ",",
    "|",
    ">",
    "~",
    "#",
    "@",
    "`",
    "%",
    "\r",
]
PHRASES = ["&x ", "*x", "!t ", "!!str ", '"', "'", "%YAML 1.2\n", "---\n", "...\n", "<<: ", "0x", "1e9", "\\u0000", "é"]
YAML_WORDS = st.sampled_from(SIGNS + PHRASES)


@pytest.mark.parametrize("loader", LOADERS)
@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=200), st.lists(YAML_WORDS, max_size=60).map("".join)))
def test_no_text_makes_it_raise(loader: type[Any], text: str) -> None:
    document = compose(text, "f.yml", loader=loader)
    assert document.data is not None or document.problems
    assert len(document.values) <= MAX_NODES
    for problem in document.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem.message).isprintable()
