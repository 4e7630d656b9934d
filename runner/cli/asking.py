"""Questions: whether anybody can be asked, and yes or no in the language of the question."""

import sys

import click

from runner.cli.run import tell
from runner.errors import Refused
from runner.messages import Message, language_in_use, msg

_YES = {"en": ("y", "yes"), "fr": ("o", "oui", "y", "yes")}
_NO = ("", "n", "no", "non")


def require_terminal(hint: Message) -> None:
    """Raises Refused where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Refused(msg("nobody can be asked: there is no terminal"), hint=hint)


def agrees(question: Message) -> bool:
    """Whether a person says yes; Enter alone is no. Raises click.Abort at the end of the input."""
    while True:
        prompt = msg("{question} [y/N]", question=question).localized()
        answer = click.prompt(prompt, default="", show_default=False, err=True).strip().lower()
        if answer in _YES[language_in_use()]:
            return True
        if answer in _NO:
            return False
        tell(msg("Error: answer `y` or `n`").localized())
