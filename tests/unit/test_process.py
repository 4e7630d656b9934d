"""Children run to their end or are ended; what they are told in secret is never repeated."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.errors import ExitCode, ToolFailed, ToolMissing, exit_code_of
from runner.model.secret import Secret
from runner.process import Ended, run, run_attended, stream
from tests.servers import processes

PASSWORD = "gr&nd secret é"


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def test_stdout_comes_back_whole() -> None:
    assert run(python("import sys; sys.stdout.buffer.write(bytes(range(256)) * 10000)")) == bytes(range(256)) * 10000


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    words = ["$(touch x)", "; touch x", "a b", "*", "'", '"', "é", ""]
    assert run(python("import sys; print(ascii(sys.argv[1:]))", *words)).decode().strip() == ascii(words)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_names_the_program_its_code_and_its_last_words() -> None:
    script = "import sys; [print(f'line {n}', file=sys.stderr) for n in range(100)]; sys.exit(3)"
    with pytest.raises(ToolFailed) as caught:
        run(python(script))
    text = str(caught.value)
    assert Path(sys.executable).name in text
    assert "exit code 3" in text
    assert text.endswith("line 99")
    assert "line 80" in text
    assert "line 79" not in text
    assert exit_code_of(caught.value) is ExitCode.STEP


def test_a_silent_failure_says_so() -> None:
    with pytest.raises(ToolFailed, match="it said nothing"):
        run(python("import sys; sys.exit(1)"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_killed_program_is_a_failure() -> None:
    with pytest.raises(ToolFailed, match=f"signal {int(signal.SIGKILL)}"):
        run(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        run(["no-such-program", "--password=never-shown"])
    with pytest.raises(ToolMissing) as caught:
        run([str(Path(__file__))])  # there, and no program
    assert exit_code_of(caught.value) is ExitCode.STEP


def test_a_stream_fails_at_its_end_and_not_before() -> None:
    chunks = stream(python("import sys; print('x' * 10); sys.stdout.flush(); sys.exit(2)"))
    assert next(chunks).strip() == b"x" * 10
    with pytest.raises(ToolFailed, match="exit code 2"):
        list(chunks)


def test_a_stream_is_in_chunks_and_in_order() -> None:
    script = "import sys\nfor n in range(40): sys.stdout.buffer.write(bytes([n]) * 100_000)"
    assert b"".join(stream(python(script))) == b"".join(bytes([n]) * 100_000 for n in range(40))


def test_much_on_stderr_blocks_nobody() -> None:
    script = "import sys; sys.stderr.write('e' * 3_000_000); sys.stderr.flush(); print('done')"
    assert run(python(script)).strip() == b"done"


def test_what_a_program_that_ended_well_said_is_told_without_secrets() -> None:
    told: list[str] = []
    script = "import os, sys; print('warning:', os.environ['WORD'], file=sys.stderr)"
    run(python(script), {"WORD": Secret("hidden"), "PYTHONIOENCODING": "utf-8"}, told=told.append)
    assert told == ["warning: ****"]
    run(python("pass"), told=told.append)
    assert len(told) == 1


def test_a_secret_reaches_the_environment_and_no_error_text() -> None:
    script = "import os, sys; sys.exit('%s and %s' % (os.environ['WORD'], os.environ['PLAIN']))"
    with pytest.raises(ToolFailed) as caught:
        run(python(script), {"WORD": Secret(PASSWORD), "PLAIN": "plain", "PYTHONIOENCODING": "utf-8"})
    assert "**** and plain" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert all(PASSWORD not in str(finding) for finding in caught.value.findings)


def test_an_empty_secret_hides_nothing() -> None:
    with pytest.raises(ToolFailed, match="said this"):
        run(python("import sys; sys.exit('said this')"), {"WORD": Secret("")})


def test_the_environment_is_added_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TEST_KEPT", "kept")
    monkeypatch.setenv("RUNNER_TEST_REPLACED", "old")
    script = "import os; print(os.environ['RUNNER_TEST_KEPT'], os.environ['RUNNER_TEST_REPLACED'])"
    assert run(python(script), {"RUNNER_TEST_REPLACED": "new"}).split() == [b"kept", b"new"]


def test_a_program_reads_nothing_from_our_terminal() -> None:
    assert run(python("import sys; print(len(sys.stdin.read()))")).strip() == b"0"


def test_a_stream_that_is_given_up_ends_its_program() -> None:
    script = "import os, sys, time; print(str(os.getpid()).rjust(1 << 20), flush=True); time.sleep(600)"
    chunks = stream(python(script))
    pid = int(next(chunks))
    del chunks
    deadline = time.monotonic() + 30
    while processes.is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_interrupting_us_ends_the_child_even_a_deaf_one(tmp_path: Path) -> None:
    """The child ignores SIGTERM, and lives in a session of its own: only we can end it."""
    deaf = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {os.getsid(0)}\\n'); time.sleep(600)"
    )
    noted = tmp_path / "pid"
    # A shell's background job begins with SIGINT ignored, and so would all that it starts.
    hears = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    ours = python(f"{hears}from runner.process import run\nrun(sys.argv[1:])", *python(deaf, str(noted)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(ours, env=environment, stderr=subprocess.DEVNULL) as parent:
        while not (noted.exists() and noted.read_text().endswith("\n")):
            assert parent.poll() is None
            time.sleep(0.02)
        pid, session = map(int, noted.read_text().split())
        assert session == pid
        parent.send_signal(signal.SIGINT)
        parent.wait(30)
    assert not processes.is_alive(pid)


def test_an_attended_program_is_told_about_and_not_raised(tmp_path: Path) -> None:
    script = "import os, sys; print('out', os.getcwd(), os.environ['WORD'], flush=True); sys.exit('err')"
    ended = run_attended(python(script), {"WORD": "w"}, folder=tmp_path, timeout_seconds=60)
    assert ended.code == 1
    assert ended.output.splitlines() == [f"out {tmp_path.resolve()} w", "err"]


def test_an_attended_program_is_looked_for_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"\./nothing"):
        run_attended(["./nothing"], {}, folder=tmp_path, timeout_seconds=60)
    if os.name != "nt":
        (tmp_path / "stop.sh").write_text("#!/bin/sh\necho stopped\n")
        (tmp_path / "stop.sh").chmod(0o755)
        assert run_attended(["./stop.sh"], {}, folder=tmp_path, timeout_seconds=60) == Ended(0, "stopped")


def test_what_no_system_call_accepts_is_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="null"):
        run_attended([sys.executable, "a\0b"], {}, folder=tmp_path, timeout_seconds=60)


def test_of_much_output_the_end_is_kept(tmp_path: Path) -> None:
    script = "for n in range(200_000): print(n)"
    lines = run_attended(python(script), {}, folder=tmp_path, timeout_seconds=60).output.splitlines()
    assert lines[-1] == "199999"
    assert lines == [str(n) for n in range(200_000 - len(lines), 200_000)]
    assert 10_000 < len(lines) < 100_000
