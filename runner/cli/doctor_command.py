"""`runner doctor`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("doctor")
@click.argument("profile", shell_complete=profile_names)
@format_option
@click.pass_obj
def command(settings: Settings, profile: str, output_format: str) -> None:
    """Look at everything that a backup and a restore of PROFILE will need, and say what is wrong and what to do.

    Programs, server, privileges, files, destinations, room, clock, lock, timer and the last backups. What has to be
    tried (a file at a destination, a database on the server) is taken back.

    \b
    Examples:
      runner doctor school
      runner doctor school --format json

    Exit codes: 0 all is well, 2 no such profile, 3 there are warnings, 10 invalid configuration, 15 there are problems.
    """

    def work() -> Outcome:
        from runner.cli.doctor import doctor_outcome

        return doctor_outcome(settings, profile)

    run(work, output_format)
