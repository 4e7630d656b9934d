"""Runs the programs that a profile names in `hooks`, and says what came of them.

`before_…` guards what follows: the first failure ends it. `after_…` brings an application back and `on_error` tells
of a failure: there each program gets its turn, and a signal waits until the last of them has ended.
"""

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from runner.errors import (
    ExitCode,
    Finding,
    HookFailed,
    RunnerError,
    SeveralFailed,
    ToolMissing,
    exit_code_of,
    interruption_in,
    raise_all,
)
from runner.events import Logged, Noticed, Reporter, StageEnded, StageStarted
from runner.messages import Message, msg
from runner.model.plan import Action
from runner.model.profile import Command, Profile, Variant
from runner.model.secret import EnvironmentSecret
from runner.planning.hooks import hook_title
from runner.process import Ended, run_attended
from runner.secrets import resolve
from runner.state import ProfileState
from runner.workflow.shield import Shield

When = Literal["before_apply", "after_apply", "before_restore", "after_restore", "on_error"]

_ERROR_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class HookContext:
    """What hooks find in their environment. `archive`: where it lies, empty while it lies nowhere."""

    profile: Profile
    variant: Variant
    run_id: str
    archive: str = ""
    error: BaseException | None = None

    def environment(self, when: When) -> dict[str, str]:
        """Every variable is there, an empty one where it does not apply: runner may itself run in a hook."""
        return {
            "RUNNER_PROFILE": self.profile.name,
            "RUNNER_EVENT": when,
            "RUNNER_VARIANT": self.variant.value,
            "RUNNER_ARCHIVE": self.archive,
            "RUNNER_RUN_ID": self.run_id,
            "RUNNER_ERROR_CODE": "" if self.error is None else _code_of(self.error),
            "RUNNER_EXIT_CODE": "" if self.error is None else str(int(_exit_code_of(self.error))),
        }


def run_hooks(commands: Sequence[Command], when: When, context: HookContext, reporter: Reporter) -> None:
    """Run them in order. Raises HookFailed; SeveralFailed for more than one, or with an interruption that waited.

    After a `before_…` that failed or was interrupted none of the rest is started, and nothing of it runs on.
    """
    if when in ("before_apply", "before_restore"):
        for command in commands:
            _run(command, when, context, reporter)
        return
    failed: list[RunnerError] = []
    with Shield(lambda: reporter(Noticed(_waiting(when)))):
        for command in commands:
            try:
                _run(command, when, context, reporter)
            except RunnerError as error:
                failed.append(error)
        raise_all(failed)


@contextmanager
def failures_told(context: HookContext, reporter: Reporter) -> Iterator[None]:
    """Run `on_error` for whatever error leaves the block; the error goes on, and nothing hides it."""
    try:
        yield
    except BaseException as error:
        try:
            run_hooks(context.profile.hooks.on_error, "on_error", replace(context, error=error), reporter)
        except RunnerError as late:
            for finding in late.findings:
                if finding.code == HookFailed.code:
                    reporter(Noticed(Finding("hook.on_error", finding.message, finding.where, finding.hint)))
            interruption = interruption_in(late)
            if interruption is not None and isinstance(error, RunnerError):
                together = error if isinstance(error, SeveralFailed) else SeveralFailed((error,))
                raise together.joined_by(interruption) from None
        raise


def _run(command: Command, when: When, context: HookContext, reporter: Reporter) -> None:
    hooks = context.profile.hooks
    reporter(StageStarted(Action.HOOK, hook_title(when, command)))
    try:
        ended = run_attended(
            command, context.environment(when), folder=hooks.folder, timeout_seconds=hooks.timeout_seconds
        )
    except ToolMissing as error:
        raise HookFailed(
            msg("{when}: {reason}", when=when, reason=str(error)),
            hint=msg("write the program with its whole path, or check that it is installed and on PATH"),
        ) from None
    finally:
        reporter(StageEnded(Action.HOOK))
    output = _without_secrets(ended.output, context.profile)
    for line in output.splitlines():
        reporter(Logged(msg("{when}: {line}", when=when, line=line)))
    if ended.code != 0:
        raise HookFailed(
            _failure(command, when, replace(ended, output=output), hooks.timeout_seconds), hint=_hint(when)
        )


def _failure(command: Command, when: When, ended: Ended, timeout_seconds: float) -> Message:
    told = "\n".join(ended.output.splitlines()[-_ERROR_LINES:]) or msg("it said nothing")
    shown = shlex.join(command)
    if ended.code is None:
        return msg(
            "{when}: `{command}` did not end within {seconds:g} seconds: {output}",
            when=when,
            command=shown,
            seconds=timeout_seconds,
            output=told,
        )
    code = msg("exit code {number}", number=ended.code)
    if ended.code < 0:
        code = msg("signal {number}", number=-ended.code)
    return msg("{when}: `{command}` ended with {code}: {output}", when=when, command=shown, code=code, output=told)


def _hint(when: When) -> Message:
    match when:
        case "before_apply":
            return msg("nothing was backed up: run it by hand in the folder of backup.yml, then start the backup again")
        case "before_restore":
            return msg("nothing was replaced: run it by hand in the folder of backup.yml, then start the restore again")
        case _:
            return msg("run it by hand in the folder of backup.yml: what it was to do may not have been done")


def _waiting(when: When) -> Finding:
    return Finding(
        "hook.not-interrupted",
        msg("interrupted while `{when}` runs; it is not cut short", when=when),
        hint=msg("wait: each of its programs ends by itself, or when its `timeout` is up"),
    )


_SHORTEST_SECRET = 6
"""Of the variables that were kept for scheduled runs, nobody knows which are secrets; a `1` is none."""


def _without_secrets(text: str, profile: Profile) -> str:
    """What a program prints may hold what it inherited: a list of its variables, a connection string."""
    references = (profile.database_password, profile.admin_password, *profile.notify_secrets)
    values = [_value(reference) for reference in references if isinstance(reference, EnvironmentSecret)]
    with contextlib.suppress(OSError, UnicodeError):
        kept = ProfileState.of(profile).environment().values()
        values += [value for value in kept if len(value) >= _SHORTEST_SECRET]
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, "****")
    return text


def _value(reference: EnvironmentSecret) -> str:
    """Empty where it is not set: then there is nothing to hide."""
    try:
        return resolve(reference).reveal()
    except RunnerError:
        return ""


def _code_of(error: BaseException) -> str:
    if isinstance(error, SeveralFailed):
        return _code_of(error.errors[0])
    return error.code if isinstance(error, RunnerError) else "bug"


def _exit_code_of(error: BaseException) -> ExitCode:
    if isinstance(error, RunnerError):
        return exit_code_of(error)
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.BUG
