"""The hooks of a profile as steps of a plan."""

import shlex
from collections.abc import Iterator, Sequence

from runner.messages import Message, msg
from runner.model.plan import Action, Step
from runner.model.profile import Command


def hook_title(when: str, command: Command) -> Message:
    """How plans and progress name one program of a hook."""
    return msg("{when}: run `{command}`", when=when, command=shlex.join(command))


def hook_steps(when: str, commands: Sequence[Command]) -> Iterator[Step]:
    """One step for each program."""
    for command in commands:
        yield Step(Action.HOOK, hook_title(when, command))
