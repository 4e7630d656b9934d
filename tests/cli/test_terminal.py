"""On a terminal: bars that show how far it is, whatever its width and encoding."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import COMMAND, Project
from tests.restores import sqlite_scene

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals here", allow_module_level=True)
else:
    import fcntl
    import pty
    import termios

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def frames_on_terminal(project: Project, columns: int, encoding: str, *options: str) -> list[str]:
    """Run a backup with stderr on a terminal of that width; what was drawn there, line by line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    absent = ("COLUMNS", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in absent}
    environment |= {"TERM": "xterm", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    with subprocess.Popen(
        [*COMMAND, *options, "apply", "app"],
        cwd=project.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                chunk = os.read(ours, 1 << 16)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not chunk:
                break
            drawn += chunk
    os.close(ours)
    assert process.returncode == 0
    lines = re.split(r"[\r\n]+", CONTROL.sub("", drawn.decode(encoding)))
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize(("columns", "encoding"), [(40, "cp1252"), (40, "utf-8"), (80, "utf-8"), (200, "cp1252")])
def test_a_narrow_terminal_cuts_the_words_and_not_the_bar(project: Project, columns: int, encoding: str) -> None:
    (project.media / "large.bin").write_bytes(bytes(64 << 20))
    frames = frames_on_terminal(project, columns, encoding)
    assert len(frames) > 5
    for frame in frames:
        assert re.match(r"( *\d+%|    ) [^\w…]{10} ", frame), frame
        assert len(frame) <= columns
    assert any("add the" in frame for frame in frames)


def test_without_colours_there_are_lines_and_no_bars(project: Project) -> None:
    lines = frames_on_terminal(project, 80, "utf-8", "--no-color")
    assert all(line.startswith("- ") for line in lines)


def test_the_question_shows_its_answers_and_takes_one(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [*COMMAND, "restore", "app"],
        cwd=scene.project.folder,
        env={**environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        answered = False
        while True:
            try:
                chunk = os.read(ours, 1 << 12)
            except OSError:
                break
            seen += chunk
            if not answered and b"[y/N]" in seen:
                os.write(ours, b"y\n")
                answered = True
    os.close(ours)
    assert answered, seen
    assert process.returncode == 0, seen
    asked = seen[seen.index(b"Replace it?") :]
    assert b"%" not in asked[: asked.index(b"y\r\n")]  # no bar is drawn where the answer is typed
    assert scene.live() == scene.new


def test_a_question_in_french_is_answered_in_french(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--lang", "fr", "restore", "app"],
        cwd=scene.project.folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        os.write(ours, b"peut-\xc3\xaatre\noui\n")
        _, stderr = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0, stderr
    assert stderr.count("[o/N]") == 2
    assert scene.live() == scene.new
