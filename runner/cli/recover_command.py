"""`runner recover`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("recover")
@click.argument("profile", shell_complete=profile_names)
@click.option("--forward", is_flag=True, help="Where nobody can tell: go on to the new state.")
@click.option("--back", is_flag=True, help="Where nobody can tell: go back to the old state.")
@format_option
@click.pass_obj
def command(settings: Settings, /, profile: str, **options: object) -> None:
    """Finish a restore of PROFILE that was interrupted while it swapped the new state in, or take it back.

    It looks at what is really live: once the new database is in, it goes on; before that, it goes back. The two options
    count only where the live state was changed so much that nobody can tell. It may be killed, and run again.

    \b
    Examples:
      runner recover school

    Exit codes: 0 done, or there was nothing to do, 2 wrong usage, 3 done with warnings, 10 invalid configuration, 11
    another run holds the lock, 14 a step failed: mend it and run it again, 16 say `--forward` or `--back`.
    """

    def work() -> Outcome:
        from runner.cli.restoring import recover_outcome

        forward, back = bool(options["forward"]), bool(options["back"])
        return recover_outcome(settings, profile, forward=forward, back=back)

    run(work, str(options["output_format"]))
