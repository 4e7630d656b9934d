"""The work of `runner notify test`."""

from runner.cli.profiles import load_profile
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.errors import ExitCode, Refused
from runner.messages import msg
from runner.workflow.notifying import try_out


def test_outcome(settings: Settings, name: str) -> Outcome:
    """What was not sent is an error each. Raises Refused, and RunnerError for the profile."""
    profile = load_profile(settings, name, need_variables=False, ask=False)
    if not profile.notify:
        hint = msg("write `notify` into it, for example `notify: [{{ping: {{env: SCHOOL_HEALTHCHECK}}}}]`")
        raise Refused(msg("the profile tells nobody"), where=str(profile.source), hint=hint)
    tried = try_out(profile)
    lines = tuple(msg("sent: {notifier}", notifier=notifier).localized() for notifier, error in tried if error is None)
    errors = tuple(finding for _, error in tried if error is not None for finding in error.findings)
    data = {"sent": [str(notifier) for notifier, error in tried if error is None]}
    return Outcome(data, lines, errors=errors, exit_code=ExitCode.STEP if errors else ExitCode.DONE)
