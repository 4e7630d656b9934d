"""What is filled in, what is not, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.variables import Expanded, expand, misspelt

ENVIRON = {"A": "one", "B_2": "two", "EMPTY": "", "HOME": "/home/amina", "HOMELIKE": "~/x", "ODD": "${A} $$ %A%"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B_2}z", "xoneytwoz"),
        ("${A:-other}", "one"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$$", "$$"),
        ("$${A}${A}", "${A}one"),
        (r"\\server\c$\backups", r"\\server\c$\backups"),
        ("a$", "a$"),
        ("50%", "50%"),
        ("~", "/home/amina"),
        ("~/OneDrive", "/home/amina/OneDrive"),
        ("~\\OneDrive", "/home/amina\\OneDrive"),
        ("~amina/x", "~amina/x"),
        ("a/~/b", "a/~/b"),
        ("${NONE:-~/OneDrive}", "/home/amina/OneDrive"),
        ("${HOMELIKE}", "/home/amina/x"),
        ("${ODD}", "${A} $$ %A%"),
    ],
)
def test_filled_in(text: str, filled: str) -> None:
    assert misspelt(text) is None
    assert expand(text, ENVIRON, windows=False) == Expanded(filled)


@pytest.mark.parametrize(
    ("text", "unset"),
    [
        ("${NONE}", ("NONE",)),
        ("${EMPTY}/x", ("EMPTY",)),
        ("${A}${NONE}${MORE}${NONE}", ("NONE", "MORE")),
    ],
)
def test_unset(text: str, unset: tuple[str, ...]) -> None:
    assert expand(text, ENVIRON, windows=False) == Expanded(text, unset)


def test_home_is_the_users_profile_on_windows() -> None:
    assert expand("~/x", {"HOME": "/c/Users/a"}, windows=True) == Expanded("~/x", ("USERPROFILE",))
    assert expand("~/x", {"USERPROFILE": "C:\\Users\\a"}, windows=True) == Expanded("C:\\Users\\a/x")
    assert expand("~/x", {}, windows=False) == Expanded("~/x", ("HOME",))


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${1}", "${A B}", "${A-x}", "${A:-${B}}", "$HOME/x", "$A", "%A%\\x"]
)
def test_misspelt(text: str) -> None:
    mistake = misspelt(text)
    assert mistake is not None
    assert str(mistake.message)
    assert str(mistake.hint)
    assert misspelt(text.replace("$", "$$").replace("%", "")) is None


@given(text=st.text(alphabet="${}:-A~%/\\ x"))
def test_doubled_dollar_signs_protect_any_text(text: str) -> None:
    protected = text.replace("$", "$$").replace("%", "").replace("~", "")
    assert misspelt(protected) is None
    assert expand(protected, ENVIRON, windows=False) == Expanded(protected.replace("$$", "$"))
