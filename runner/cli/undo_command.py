"""`runner undo`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("undo")
@click.argument("profile", shell_complete=profile_names)
@click.option("--to", "run_id", metavar="RUN", help="Go back to the state before that restore, an earlier one.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--dry-run", is_flag=True, help="Check and print the plan; change nothing.")
@format_option
@click.pass_obj
def command(settings: Settings, /, profile: str, run_id: str | None, **options: object) -> None:
    """Take the last restore of PROFILE back: the state before it comes in by the same staged swap.

    An undo can itself be undone. `--to` names an earlier restore by its run, as `runner restore` printed it; the
    beginning of one will do where no other begins so.

    \b
    Examples:
      runner undo school --dry-run
      runner undo school
      runner undo school --to 20260108_110353 --yes

    Exit codes: 0 done, 2 no such profile, 3 done with warnings, 10 invalid configuration, 11 another run holds the
    lock, 13 the safety copy is damaged, 14 a step failed (nothing was changed, unless it says that the restored
    state is in), 15 there is nothing to go back to or it was not confirmed, 16 interrupted in its swap:
    `runner recover`, 130 interrupted, everything put back.
    """

    def work() -> Outcome:
        from runner.cli.restoring import undo_outcome

        return undo_outcome(settings, profile, run_id, yes=bool(options["yes"]), dry_run=bool(options["dry_run"]))

    run(work, str(options["output_format"]))
