"""A question that is answered by yes or no, in the language in which it is asked."""

import click

from runner.cli.run import tell
from runner.messages import Message, language_in_use, msg

_YES = {"en": ("y", "yes"), "fr": ("o", "oui", "y", "yes")}
_NO = ("", "n", "no", "non")


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
