"""`runner run-due`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("run-due")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=profile_names)
@click.option("--watch", is_flag=True, help="Go on, and look every minute: for containers, which have no timers.")
@click.option("--check", is_flag=True, help="Make no backup: say whether one could be started from here.")
@format_option
@click.pass_obj
def command(settings: Settings, /, profiles: tuple[str, ...], output_format: str, **options: bool) -> None:
    """Make the backups that are due by the `schedule` of their profiles: of those named, or of all that have one.

    This is what timers call, every hour or more often. A time that was missed is caught up, once. A
    backup that failed is tried again after an hour, three times in all. The machine's other work goes first.

    \b
    Examples:
      runner run-due
      runner run-due school
      runner run-due --watch

    Exit codes: 0 nothing was due, or all is done; otherwise as `runner apply --all`.
    """

    def work() -> Outcome:
        from runner.cli.scheduling import check_outcome, due_outcome, watch_outcome

        if options["check"]:
            return check_outcome(settings, profiles)
        return watch_outcome(settings, profiles) if options["watch"] else due_outcome(settings, profiles)

    run(work, output_format)
