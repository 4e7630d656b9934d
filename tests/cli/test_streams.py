"""Output that cannot be written, and signals that are to be ignored: neither stops a backup or hides its code."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.run import tell
from runner.errors import Interrupted
from runner.messages import msg
from tests.projects import COMMAND, Project

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and signals of a Unix")


def run_into(project: Project, *arguments: str, stdout: str = "", stderr: str = "") -> tuple[int, str]:
    """Run with the streams going to the named files, else captured together; returns the code and what was captured."""
    with open(stdout or os.devnull, "wb") as out, open(stderr or os.devnull, "wb") as err:  # noqa: PTH123 - devices
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=project.folder,
            stdout=out if stdout else subprocess.PIPE,
            stderr=err if stderr else subprocess.PIPE,
            check=False,
        )
    return done.returncode, ((done.stdout or b"") + (done.stderr or b"")).decode("utf-8")


def test_a_log_that_is_full_stops_no_backup(project: Project) -> None:
    code, text = run_into(project, "-v", "apply", "app", stderr="/dev/full")
    assert (code, len(project.archives())) == (0, 1)
    assert "every byte verified" in text


def test_a_log_that_nobody_reads_stops_no_backup(project: Project) -> None:
    with subprocess.Popen([*COMMAND, "apply", "app"], cwd=project.folder, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
    assert (process.returncode, len(project.archives())) == (0, 1)


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_a_result_that_cannot_be_written_is_told_and_is_no_bug(project: Project, output_format: str) -> None:
    code, text = run_into(project, "-q", "apply", "app", "--format", output_format, stdout="/dev/full")
    assert (code, len(project.archives())) == (14, 1)
    assert text.startswith("error: the result cannot be written to stdout: No space left on device\n  hint: ")
    assert "Traceback" not in text


def test_an_error_keeps_its_code_where_its_result_cannot_be_written(project: Project) -> None:
    code, text = run_into(project, "list", "ap", "--format", "json", stdout="/dev/full")
    assert code == 2
    assert "cannot be written" in text


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_stream_that_was_closed_before_we_came(project: Project, descriptor: int) -> None:
    command = ["sh", "-c", f'"$@" {descriptor}>&-', "sh", *COMMAND, "apply", "app"]
    done = subprocess.run(command, cwd=project.folder, check=False)
    assert (done.returncode, len(project.archives())) == (0, 1)


def test_a_reader_who_has_seen_enough_changes_no_code(project: Project) -> None:
    with subprocess.Popen([*COMMAND, "apply", "app"], cwd=project.folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert (process.returncode, len(project.archives())) == (0, 1)


@pytest.mark.parametrize(("ignored", "code"), [(True, 14), (False, 130)])
def test_a_signal_that_was_ignored_before_we_came_stays_so(project: Project, *, ignored: bool, code: int) -> None:
    """What `nohup` does. The program that gives the secret sends the signal; after it no server is found (14)."""
    send = "import os, signal; os.kill(os.getppid(), signal.SIGHUP)"
    profile = project.folder / "profiles" / "app.yml"
    secret = f"password: {{command: [{json.dumps(sys.executable)}, '-c', {json.dumps(send)}]}}"
    database = f"database: {{engine: postgresql, host: localhost, port: 1, name: x, {secret}}}"
    lines = [database if line.startswith("database:") else line for line in profile.read_text("utf-8").splitlines()]
    profile.write_text("\n".join(lines), "utf-8")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        done = project.run("apply", "app")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.returncode == code, done.stderr


def test_a_signal_during_a_line_of_the_log_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    class Struck(io.StringIO):
        writes = 0

        def write(self, text: str, /) -> int:
            self.writes += 1
            if self.writes == 1:
                raise Interrupted(msg("now"))
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Struck())
    with pytest.raises(Interrupted):
        tell("a line")
