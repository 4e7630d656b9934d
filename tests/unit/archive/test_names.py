"""Member names: every path of every system, one name each, and back."""

from hypothesis import given
from hypothesis import strategies as st

from runner.archive.names import _encode_character, _is_unsafe, decode_path, encode_path, is_safe_member

PATHS = st.lists(
    st.binary(min_size=1, max_size=12).filter(lambda part: b"/" not in part and b"\0" not in part), min_size=1
)


@given(parts=PATHS)
def test_names_come_back(parts: list[bytes]) -> None:
    raw = b"/".join(parts)
    assert decode_path(encode_path(raw)) == raw


@given(first=PATHS, second=PATHS)
def test_two_paths_never_share_a_name(first: list[bytes], second: list[bytes]) -> None:
    paths = b"/".join(first), b"/".join(second)
    assert (encode_path(paths[0]) == encode_path(paths[1])) == (paths[0] == paths[1])


@given(parts=PATHS.filter(lambda parts: not {b".", b".."} & set(parts)))
def test_names_are_safe(parts: list[bytes]) -> None:
    assert is_safe_member(f"media/{encode_path(b'/'.join(parts))}")


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("a.txt", "été/n° 1 (copie).pdf", "100 % sûr", "50%", "%zz", "日本/語.jpg", "e\u0301"):
        assert encode_path(name.encode()) == name


def test_odd_names_are_written_out() -> None:
    assert encode_path(b"caf\xe9") == "caf%E9"
    assert encode_path(b"a\\b") == "a%5Cb"
    assert encode_path(b"a\nb\x7f") == "a%0Ab%7F"
    assert encode_path(b"a%5Cb") == "a%255Cb"
    assert encode_path("a\u2028b".encode()) == "a%E2%80%A8b"


def test_unsafe_members() -> None:
    for name in ("", "/a", "a/../b", "..", "./a", "a//b", "a\\b", "a\x00b", "a\n", "\ud800"):
        assert not is_safe_member(name), name


@given(text=st.text(max_size=12))
def test_the_quick_tests_of_a_text_agree_with_the_characters(text: str) -> None:
    """`isprintable` is asked first; it must never pass what one of the characters forbids."""
    if text.isprintable():
        assert not any(_is_unsafe(character) for character in text)
    written = "".join(_encode_character(text, index) for index in range(len(text)))
    assert encode_path(text.encode()) == written


def test_no_character_that_is_printable_is_unsafe() -> None:
    assert [
        character for character in map(chr, range(0x110000)) if character.isprintable() and _is_unsafe(character)
    ] == []
