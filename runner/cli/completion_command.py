"""`runner completion`."""

import click

from runner.messages import msg

_SHELLS = ("bash", "zsh", "fish", "powershell")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the script that completes commands, options, profiles and archives in SHELL.

    \b
    Examples:
      runner completion bash > ~/.local/share/bash-completion/completions/runner
      runner completion zsh > ~/.zfunc/_runner
      runner completion fish > ~/.config/fish/completions/runner.fish
      runner completion powershell >> $PROFILE
    """
    from click.shell_completion import get_completion_class

    from runner.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(msg("this version of click completes nothing in {shell}", shell=shell).localized())
    click.echo(kind(cli, {}, "runner", "_RUNNER_COMPLETE").source())
