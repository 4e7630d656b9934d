"""Plans as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from runner.cli.text import wrapped
from runner.messages import msg
from runner.model.plan import Plan, RestorePlan, Step


def plan_lines(plan: Plan) -> Iterator[str]:
    """Numbered steps, each with what it reads and what it writes."""
    line = msg(
        "Plan: {variant} backup of {profile} into {archive}",
        variant=plan.variant.value,
        profile=plan.profile.name,
        archive=plan.archive_name,
    )
    yield from wrapped(line.localized(), "  ")
    yield from _step_lines(plan.steps)


def restore_plan_lines(plan: RestorePlan) -> Iterator[str]:
    """The same of a restore or an undo."""
    line = msg(
        "Plan: {variant} {command} of {profile} from {source}",
        variant=plan.variant.value,
        command=plan.command,
        profile=plan.profile.name,
        source=plan.source,
    )
    yield from wrapped(line.localized(), "  ")
    yield from _step_lines(plan.steps)


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "command": "apply",
        "profile": plan.profile.name,
        "variant": plan.variant.value,
        "archive": plan.archive_name,
        "steps": _steps_data(plan.steps),
    }


def restore_plan_data(plan: RestorePlan) -> dict[str, Any]:
    """The same of a restore or an undo."""
    return {
        "command": plan.command,
        "profile": plan.profile.name,
        "variant": plan.variant.value,
        "source": str(plan.source),
        "run_id": plan.names.run_id,
        "steps": _steps_data(plan.steps),
    }


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield from wrapped(f"{number:>2}. {step.title.localized()}", "    ")
        for place in step.reads:
            yield from wrapped(msg("    reads  {place}", place=place).localized(), "           ")
        for place in step.writes:
            yield from wrapped(msg("    writes {place}", place=place).localized(), "           ")
    yield from wrapped(msg("Nothing was done: this was a dry run.").localized(), "  ")


def _steps_data(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "action": step.action.value,
            "title": str(step.title),
            "reads": list(step.reads),
            "writes": list(step.writes),
        }
        for number, step in enumerate(steps, 1)
    ]
