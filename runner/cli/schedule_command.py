"""`runner schedule`: install, remove, show."""

from collections.abc import Callable
from typing import Any

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings

_WITH = ("systemd", "systemd-system", "cron", "launchd", "task-scheduler")


@click.group("schedule")
def command() -> None:
    """Install, remove or show what starts the backups of a profile: `schedule: {daily: "23:00"}` in it says when.

    \b
    Examples:
      runner schedule install school --print
      runner schedule install school
      runner schedule show school
      runner schedule remove school
    """


def _with_option(function: Callable[..., Any]) -> Callable[..., Any]:
    chosen = click.Choice(_WITH)
    return click.option("--with", "kind", type=chosen, help="Which timer. Default: the one of this machine.")(function)


@command.command("install")
@click.argument("profile", shell_complete=profile_names)
@_with_option
@click.option("--keep", multiple=True, metavar="NAME", help="Keep this variable's value of now for scheduled runs.")
@click.option("--print", "only_print", is_flag=True, help="Print what would be installed; change nothing.")
@format_option
@click.pass_obj
def install(settings: Settings, /, output_format: str, **options: Any) -> None:
    """Install the timer of PROFILE, in the place of an earlier one.

    Before that, what the timer will run is tried in an environment like its own: a variable that only this shell has
    is named then, and not at night. `--keep NAME` writes its value into the state folder, where you alone can read it.

    \b
    Examples:
      runner schedule install school
      runner schedule install school --keep SCHOOL_DB_PASSWORD
      runner schedule install school --with cron --print

    Exit codes: 0 done, 3 done with warnings, 10 invalid configuration, 14 the timer cannot be installed, 15 refused: no
    schedule, or a run could not start from it.
    """

    def work() -> Outcome:
        from runner.cli.scheduling import install_outcome

        return install_outcome(settings, **options)

    run(work, output_format)


@command.command("remove")
@click.argument("profile", shell_complete=profile_names)
@_with_option
@format_option
@click.pass_obj
def remove(settings: Settings, profile: str, kind: str | None, output_format: str) -> None:
    """Take the timer of PROFILE away. Its backups stay.

    \b
    Examples:
      runner schedule remove school
    """

    def work() -> Outcome:
        from runner.cli.scheduling import remove_outcome

        return remove_outcome(settings, profile, kind)

    run(work, output_format)


@command.command("show")
@click.argument("profile", shell_complete=profile_names)
@_with_option
@format_option
@click.pass_obj
def show(settings: Settings, profile: str, kind: str | None, output_format: str) -> None:
    """Show what is installed for PROFILE, when its next backup is due, and how the last one ended.

    \b
    Examples:
      runner schedule show school
    """

    def work() -> Outcome:
        from runner.cli.scheduling import show_outcome

        return show_outcome(settings, profile, kind)

    run(work, output_format)
