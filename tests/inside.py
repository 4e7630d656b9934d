"""A backup in this very process, with a look at every event: where a test must act between two of its steps."""

import secrets
from datetime import datetime
from pathlib import Path

from runner import config
from runner.events import Reporter, silent
from runner.model.marks import RunNames
from runner.model.profile import Profile, Variant
from runner.model.report import BackupReport, RestoreReport
from runner.planning import plan_apply
from runner.workflow.apply import apply
from runner.workflow.choosing import Wanted
from runner.workflow.opening import RestoreRequest
from runner.workflow.restore import restore
from tests.projects import Project


def profile_of(project: Project) -> Profile:
    """The profile `app`, as the command would load it."""
    root = config.find_root(project.folder / "backup.yml", Path(project.folder))
    return config.load(root, "app", environ={}, need_variables=True)


def apply_here(project: Project, reporter: Reporter = silent, variant: Variant | None = None) -> BackupReport:
    """`runner apply app`. Raises RunnerError."""
    return apply(plan_apply(profile_of(project), variant, datetime.now().astimezone()), reporter)


def restore_here(project: Project, reporter: Reporter = silent) -> RestoreReport:
    """`runner restore app --yes`. Raises RunnerError."""
    now = datetime.now().astimezone()
    names = RunNames(f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}")
    return restore(RestoreRequest(profile_of(project), Wanted(), names, now), lambda _question: None, reporter)
