"""`runner status`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("status")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=profile_names)
@format_option
@click.pass_obj
def command(settings: Settings, profiles: tuple[str, ...], output_format: str) -> None:
    """Say of every profile, or of those that are named, how old its newest good backup is and when the next one is due.

    A backup is good that holds all that the profile has and is not known to be damaged. It is overdue when it is older
    than `alert.max_age` in the profile.

    \b
    Examples:
      runner status
      runner status school --format json

    Exit codes: 0 all is well, 2 no such profile, 3 something is not, 10 invalid configuration.
    """

    def work() -> Outcome:
        from runner.cli.health import status_outcome

        return status_outcome(settings, profiles)

    run(work, output_format)
