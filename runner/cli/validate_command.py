"""`runner validate`."""

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, run
from runner.cli.settings import Settings


@click.command("validate")
@click.argument("profiles", nargs=-1, metavar="[PROFILE|FILE]...", shell_complete=profile_names)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="With json, one JSON object; with github, annotations for a workflow's log.",
)
@click.pass_obj
def command(settings: Settings, profiles: tuple[str, ...], output_format: str) -> None:
    """Check profiles, all of them by default: every problem, with file, line and column.

    Nothing is connected to and no secret is read, so it runs anywhere. A variable that is not set is no problem here.

    \b
    Examples:
      runner validate
      runner validate school
      runner validate profiles/school.yml --format github

    Exit codes: 0 all valid, 2 no such profile, 10 there are problems.
    """

    def work() -> Outcome:
        from runner.cli.validation import validation_outcome

        return validation_outcome(settings, profiles, output_format)

    run(work, output_format)
