"""The work of `runner apply`: one profile or all of them, planned or carried out."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from runner import config
from runner.cli.plans import plan_data, plan_lines
from runner.cli.profiles import find_root, load_profile, with_destination
from runner.cli.progress import reporter
from runner.cli.reports import backup_data, backup_lines
from runner.cli.run import Outcome, attempted, finding_data, print_finding
from runner.cli.settings import Settings
from runner.errors import ExitCode, Finding, RunnerError, interruption_in
from runner.messages import msg
from runner.model.plan import Plan
from runner.model.profile import Variant
from runner.planning import plan_apply
from runner.state import ProfileState
from runner.workflow.apply import apply
from runner.workflow.notifying import notified, tell_failure


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `profile` None: all of them."""

    profile: str | None
    variant: str | None
    destination: Path | None
    dry_run: bool
    politely: bool = False
    """Let everything else on the machine go first, whatever the profile says."""


def apply_outcome(settings: Settings, request: Request) -> Outcome:
    """Raises RunnerError for one profile; for all of them, errors are part of the outcome."""
    if request.profile is not None:
        return _one(settings, request, request.profile)
    names = config.all_names(find_root(settings))
    outcomes = [(name, attempted(partial(_one, settings, request, name))) for name in names]
    return together(outcomes)


def _one(settings: Settings, request: Request, name: str) -> Outcome:
    if request.dry_run:
        plan = _plan(settings, request, name)
        return Outcome({"plan": plan_data(plan)}, tuple(plan_lines(plan)), plan.profile.warnings)
    try:
        plan = _plan(settings, request, name)
    except RunnerError as error:
        if request.variant is None and request.destination is None:
            _tell_all_the_same(settings, name, error)
        raise
    with reporter(settings, ProfileState.of(plan.profile).logs) as report:
        if plan.profile.elsewhere or plan.variant is not plan.profile.natural_variant:
            result = apply(plan, report)  # a person's own wish: it is told to nobody else
        else:
            result = notified(plan.profile, lambda telling: apply(plan, telling), report)
    return Outcome({"backup": backup_data(result)}, tuple(backup_lines(result)), result.warnings, tells_warnings=False)


def _tell_all_the_same(settings: Settings, name: str, error: RunnerError) -> None:
    """Of a run that did not get as far as its plan, where the profile at least says whom to tell."""
    try:
        profile = load_profile(settings, name, need_variables=False, ask=False)
    except RunnerError as wrong:
        if interruption_in(wrong) is not None:
            raise
        return
    for finding in tell_failure(profile, error):
        print_finding("warning", finding)


def _plan(settings: Settings, request: Request, name: str) -> Plan:
    """A dry run needs no variable and no secret: what is unset is shown as it stands."""
    profile = load_profile(settings, name, need_variables=not request.dry_run)
    variant = None if request.variant is None else Variant(request.variant)
    if request.politely:
        profile = replace(profile, priority="low")
    return plan_apply(with_destination(profile, request.destination), variant, datetime.now().astimezone())


def _failed(name: str, outcome: Outcome) -> tuple[str, ...]:
    return (msg("{profile}: failed", profile=name).localized(),) if outcome.errors else ()


def together(outcomes: list[tuple[str, Outcome]]) -> Outcome:
    """One outcome of many: the exit code is the first failing one, a warning counts when nothing failed."""
    failing = [outcome.exit_code for _, outcome in outcomes if outcome.exit_code is not ExitCode.DONE]
    errors: list[Finding] = []
    lines: list[str] = []
    results: list[dict[str, Any]] = []
    for name, outcome in outcomes:
        errors.extend(outcome.errors)
        lines.extend(outcome.lines or _failed(name, outcome))
        results.append(
            {
                "profile": name,
                "exit_code": int(outcome.exit_code if outcome.errors or not outcome.warnings else ExitCode.WARNINGS),
                "errors": [finding_data(finding) for finding in outcome.errors],
                "warnings": [finding_data(finding) for finding in outcome.warnings],
                **outcome.data,
            }
        )
    return Outcome(
        {"results": results},
        tuple(lines),
        tuple(warning for _, outcome in outcomes for warning in outcome.warnings),
        tuple(errors),
        failing[0] if failing else ExitCode.DONE,
        tells_warnings=False,
    )
