"""What `runner` alone says: how every profile stands, and the commands that people need most."""

from runner.cli.health import status_outcome
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.errors import UsageError
from runner.messages import Message, msg

_WITH_PROFILES = (
    ("runner apply PROFILE", msg("make a backup")),
    ("runner restore PROFILE", msg("bring one back, after a question")),
    ("runner doctor PROFILE", msg("see what is wrong, and what to do about it")),
)
_WITHOUT = (
    ("runner init", msg("write a profile for the application that is here")),
    ("runner demo", msg("see it all on a small sample school")),
    ("runner --help", msg("every command")),
)


def overview_outcome(settings: Settings) -> Outcome:
    """Raises RunnerError for a configuration that is wrong; where there is none, that is no error here."""
    try:
        status = status_outcome(settings, ())
    except UsageError as error:
        if settings.config is not None:
            raise
        return Outcome(lines=(error.message.localized(), "", *_commands(_WITHOUT)))
    return Outcome({}, (*status.lines, "", *_commands(_WITH_PROFILES)), status.warnings)


def _commands(commands: tuple[tuple[str, Message], ...]) -> list[str]:
    width = max(len(command) for command, _ in commands)
    return [f"  {command:{width}}  {what.localized()}" for command, what in commands]
