"""`runner demo`."""

from pathlib import Path

import click

from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("demo")
@click.argument("folder", default="runner-demo", type=click.Path(path_type=Path), metavar="[DIR]")
@format_option
@click.pass_obj
def command(settings: Settings, folder: Path, output_format: str) -> None:
    """Make a small sample school in DIR (runner-demo by default), back it up, verify it; break it, restore it, undo.

    DIR must not exist yet, or be empty. Nothing else is touched.

    \b
    Examples:
      runner demo
      runner demo /tmp/school

    Exit codes: 0 done, 15 DIR is not empty.
    """

    def work() -> Outcome:
        from runner.cli.demonstration import demo_outcome

        return demo_outcome(settings, folder)

    run(work, output_format)
