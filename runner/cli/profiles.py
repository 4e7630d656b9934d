"""From the names on the command line to profiles."""

import os
from dataclasses import replace
from pathlib import Path

from runner import config
from runner.cli.settings import Settings
from runner.errors import UsageError
from runner.messages import msg
from runner.model.profile import DjangoApp, LocalDestination, PostgresqlConfig, Profile


def find_root(settings: Settings) -> config.Root:
    """The root configuration that applies here."""
    return config.find_root(settings.config, Path.cwd())


def load_profile(settings: Settings, name: str, *, need_variables: bool = True, ask: bool = True) -> Profile:
    """One profile, valid and filled in. Raises ConfigurationInvalid or ProfileUnknown, and RunnerError with `ask`.

    `ask`: where it follows an application's settings, they are asked. Commands that need neither its database nor its
    files do not ask, so that they work where the application does not.
    """
    return config.load(
        find_root(settings),
        name,
        environ=os.environ,
        need_variables=need_variables,
        follow=_follow if ask else None,
    )


def _follow(app: DjangoApp) -> config.Told:
    from runner.workflow.applications import follow

    return follow(app)


def with_tools(profile: Profile, folder: Path | None) -> Profile:
    """The profile with PostgreSQL's programs taken from `folder`."""
    if folder is None or not isinstance(profile.database, PostgresqlConfig):
        return profile
    return replace(profile, database=replace(profile.database, tools_bin=folder))


def with_destination(profile: Profile, folder: Path | None) -> Profile:
    """The profile with `--dest` in the place of its destinations. Raises UsageError for what no profile may name."""
    if folder is None:
        return profile
    destination = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    if (conflict := config.destination_conflict(profile, destination)) is not None:
        hint = msg("name a folder beside the uploads: the next backup would hold this one")
        raise UsageError(conflict, where="--dest", hint=hint)
    return replace(profile, destinations=(LocalDestination(destination),), elsewhere=True)
