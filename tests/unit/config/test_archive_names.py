"""Names that every system accepts, and names that one does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.archive_names import faults


@pytest.mark.parametrize(
    "name",
    [
        "{timestamp}.zip",
        "school_backup_{timestamp}.zip",
        "{instance}.{profile}-{timestamp}.zip",
        "collège n°2 {timestamp}.zip",
        "console_{timestamp}.zip",
        "{timestamp}.con.zip",
        "com10.{timestamp}.zip",
    ],
)
def test_good_names(name: str) -> None:
    assert list(faults(name)) == []


@pytest.mark.parametrize("device", ["con", "PRN", "Aux", "nul", "COM1", "lpt9", "con "])
def test_devices_of_windows(device: str) -> None:
    (fault,) = faults(f"{device}.{{timestamp}}.zip")
    assert str(fault.message).startswith("Windows reserves the name ")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("", 1),
        (" ", 1),
        ("a\rb_{timestamp}.zip", 1),
        ("{timestamp", 2),
        ("{}{timestamp}.zip", 1),
        ("{{timestamp}}.zip", 1),
    ],
)
def test_bad_names(name: str, count: int) -> None:
    assert len(list(faults(name))) == count


@given(name=st.text(alphabet="{}timestamp.zip/\\:*\n \x00"))
def test_what_is_said_is_one_line(name: str) -> None:
    for fault in faults(name):
        assert str(fault.message).isprintable()
        assert str(fault.hint).isprintable()
