"""`runner undo`."""

import click

from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("undo")
@click.argument("profile")
@click.option("--to", "run_id", metavar="RUN", help="Go back to the state before that restore, an earlier one.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@format_option
@click.pass_obj
def command(settings: Settings, profile: str, run_id: str | None, yes: bool, output_format: str) -> None:  # noqa: FBT001 - click passes options by name
    """Take the last restore of PROFILE back: the state before it comes in by the same staged swap.

    An undo can itself be undone. `--to` names an earlier restore by its run, as `runner restore` printed it.

    \b
    Examples:
      runner undo school
      runner undo school --to 20260108_110353 --yes

    Exit codes: 0 done, 3 done with warnings, 10 invalid configuration, 11 another run holds the lock, 14 a step failed
    and nothing was changed, 15 there is nothing to go back to or it was not confirmed, 16 interrupted in its swap.
    """

    def work() -> Outcome:
        from runner.cli.restoring import undo_outcome

        return undo_outcome(settings, profile, run_id, yes=yes)

    run(work, output_format)
