"""Runs one command's work, presents what came of it, and exits with the code that belongs to it."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO, TypeVar

import click

from runner.cli.text import finding_lines
from runner.errors import ExitCode, Finding, Interrupted, RunnerError, exit_code_of, interruption_in
from runner.messages import counted, msg

T = TypeVar("T")

JSON_FORMAT_VERSION = 1
_SHOWN = 21  # one that sums up, and twenty of its places
_BATCH = 1000  # lines that are written and flushed together


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to show: `data` for JSON (the command's own keys), `lines` for people."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    errors: tuple[Finding, ...] = ()
    exit_code: ExitCode = ExitCode.DONE
    tells_warnings: bool = True
    """Whether warnings are still to be printed; False when they were, as they came up."""
    more: Iterable[str] | None = None
    """Further lines for people, made while they are printed and never held together; may raise RunnerError."""


format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="With json, stdout carries one JSON object and nothing else.",
)


def run(work: Callable[[], Outcome], output_format: str) -> NoReturn:
    """Do the work; print its outcome or its error; exit."""
    raise SystemExit(int(present(carried_out(work), output_format)))


def carried_out(work: Callable[[], Outcome]) -> Outcome:
    """Do the work; its outcome, or its error as one. Ctrl-C and SIGTERM end it as they end every command."""
    try:
        with _signals_as_errors():
            return work()
    except RunnerError as error:
        return Outcome(errors=error.findings, exit_code=exit_code_of(error))
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is ours to explain
        return _bug(error)


def attempted(work: Callable[[], T]) -> T | Outcome:
    """Do one part of many: its error is its outcome, and the others go on. Only an interruption is raised."""
    try:
        return work()
    except RunnerError as error:
        if interruption_in(error) is not None:
            raise
        return Outcome(errors=error.findings, exit_code=exit_code_of(error))


def present(outcome: Outcome, output_format: str = "text") -> ExitCode:
    """Print the outcome; returns the code to exit with, which tells of a result that could not be written, too."""
    try:
        if outcome.more is not None and output_format != "json":
            outcome = _streamed(outcome, outcome.more)
        if output_format == "json":
            print_json(outcome, code_of(outcome))
        else:
            print_text(outcome)
    except BrokenPipeError:
        silence(sys.stdout)  # whoever reads our output has seen enough; what was done is done
    except OSError as error:
        silence(sys.stdout)
        print_finding("error", _unwritten(error))
        return code_of(outcome, done=ExitCode.STEP)
    return code_of(outcome)


def code_of(outcome: Outcome, *, done: ExitCode | None = None) -> ExitCode:
    """The outcome's code; `done`, where given, in the place of those that say that all went well."""
    code = outcome.exit_code
    if code is ExitCode.DONE and outcome.warnings:
        code = ExitCode.WARNINGS
    return done if done is not None and code in (ExitCode.DONE, ExitCode.WARNINGS) else code


def silence(stream: TextIO) -> None:
    """A stream that can no longer be written to takes everything from now on, the interpreter's last flush included."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(line: str) -> None:
    """One line on stderr. A log that cannot be written to, a closed pipe or a full disk, must not stop a backup."""
    stream: TextIO | None = sys.stderr  # None under `pythonw`
    if stream is None:
        return
    try:
        # Not by `err=True`: click tries that stream out first, and takes a signal that comes meanwhile for its answer.
        click.echo(line, file=stream)
    except OSError:
        silence(stream)


def finding_data(finding: Finding) -> dict[str, str | None]:
    """An error or a warning as every JSON object has it."""
    return {
        "code": finding.code,
        "message": str(finding.message),
        "where": finding.where,
        "hint": None if finding.hint is None else str(finding.hint),
    }


def print_json(outcome: Outcome, code: ExitCode) -> None:
    status = "ok" if code is ExitCode.DONE else "warning" if code is ExitCode.WARNINGS else "error"
    document = {
        "format_version": JSON_FORMAT_VERSION,
        "status": status,
        "exit_code": int(code),
        "errors": [finding_data(finding) for finding in outcome.errors],
        "warnings": [finding_data(finding) for finding in outcome.warnings],
        **outcome.data,
    }
    # ASCII with escapes: no console encoding can damage it, and a name that is not UTF-8 stays valid JSON.
    click.echo(json.dumps(document, indent=2))


def _streamed(outcome: Outcome, more: Iterable[str]) -> Outcome:
    """Print the lines and `more`; returns what is left to be told. Raises OSError when that cannot be written."""
    rest = iter(more)
    try:
        with _signals_as_errors():
            for line in outcome.lines:
                click.echo(line)
            while batch := list(islice(rest, _BATCH)):
                click.echo("\n".join(batch))
    except OSError:
        raise
    except RunnerError as error:
        return Outcome(warnings=outcome.warnings, errors=error.findings, exit_code=exit_code_of(error))
    except Exception as error:  # noqa: BLE001 - as in `run`
        return _bug(error)
    return replace(outcome, lines=(), more=None)


def print_text(outcome: Outcome) -> None:
    """An outcome for people: its lines on stdout, its findings on stderr."""
    for line in outcome.lines:
        click.echo(line)
    if outcome.tells_warnings:
        for warning in outcome.warnings:
            print_finding("warning", warning)
    for error in outcome.errors[:_SHOWN]:
        print_finding("error", error)
    if (more := len(outcome.errors) - _SHOWN) > 0:
        tell(
            counted(
                "and {number} more; `--format json` lists all of them",
                "and {number} more; `--format json` lists all of them",
                more,
                number=more,
            ).localized()
        )


def print_finding(kind: str, finding: Finding) -> None:
    """One block on stderr: what happened, where, why, and what to do."""
    for line in finding_lines(kind, finding):
        tell(line)


@contextlib.contextmanager
def _signals_as_errors() -> Iterator[None]:
    """SIGINT and SIGTERM become `Interrupted`, once: what it unwinds is not interrupted again.

    A signal that was ignored before we came stays so: `nohup` means it.
    Later ones are answered and not merely ignored: the programs that we start would inherit that, and a server that a
    hook starts would never hear its SIGTERM. In another thread than the main one nothing can be watched.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)]
    watched = [number for name in names if signal.getsignal(number := getattr(signal, name)) is not signal.SIG_IGN]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in watched:
            signal.signal(number, _say_wait)
        raise Interrupted(
            msg("interrupted; everything was put back"),
            hint=msg("run the command again; earlier archives are untouched"),
        )

    before = {number: signal.signal(number, interrupt) for number in watched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unwritten(error: OSError) -> Finding:
    return Finding(
        "step.output",
        msg("the result cannot be written to stdout: {reason}", reason=error.strerror or str(error)),
        hint=msg("what was asked for was done; `runner list` shows the archives"),
    )


def _say_wait(_number: int, _frame: FrameType | None) -> None:
    """By the system's own call: a signal may come in the middle of a write to the stream."""
    text = msg("interrupted already; wait while everything is put back").localized()
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(encoding, "backslashreplace"))


def _bug(error: Exception) -> Outcome:
    """A traceback in a file, one line for the user."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="runner-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        traceback.print_exception(error, file=file)
    finding = Finding(
        "bug",
        msg("a bug in runner: {kind}", kind=type(error).__name__),
        hint=msg("please report it with the traceback in {path}", path=Path(file.name)),
    )
    return Outcome(errors=(finding,), exit_code=ExitCode.BUG)
