"""`runner notify`: test."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.group("notify")
def command() -> None:
    """Who is told how a backup ended: `notify` in a profile says it.

    \b
    Examples:
      runner notify test school
    """


@command.command("test")
@click.argument("profile", shell_complete=profile_names)
@format_option
@click.pass_obj
def test(settings: Settings, profile: str, output_format: str) -> None:
    """Send a test message to everybody whom PROFILE tells.

    \b
    Examples:
      runner notify test school

    Exit codes: 0 all were sent, 10 invalid configuration, 14 one was not, 15 the profile tells nobody.
    """

    def work() -> Outcome:
        from runner.cli.notifying import test_outcome

        return test_outcome(settings, profile)

    run(work, output_format)
