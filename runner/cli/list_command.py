"""`runner list`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("list")
@click.argument("profile", shell_complete=profile_names)
@format_option
@click.pass_obj
def command(settings: Settings, profile: str, output_format: str) -> None:
    """List the archives of PROFILE at its destinations, newest first.

    \b
    Examples:
      runner list school
      runner list school --format json

    Exit codes: 0 done, 2 no such profile, 10 invalid configuration, 12 a destination failed (the others are listed).
    """

    def work() -> Outcome:
        from runner.cli.archives import list_outcome

        return list_outcome(settings, profile)

    run(work, output_format)
