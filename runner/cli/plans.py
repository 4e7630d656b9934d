"""Plans as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from runner.cli.text import wrapped
from runner.model.plan import Plan, RestorePlan, Step


def plan_lines(plan: Plan) -> Iterator[str]:
    """Numbered steps, each with what it reads and what it writes."""
    yield from wrapped(f"Plan: {plan.variant.value} backup of {plan.profile.name} into {plan.archive_name}", "  ")
    yield from _step_lines(plan.steps)


def restore_plan_lines(plan: RestorePlan) -> Iterator[str]:
    """The same of a restore or an undo."""
    yield from wrapped(f"Plan: {plan.variant.value} {plan.command} of {plan.profile.name} from {plan.source}", "  ")
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
        "source": plan.source,
        "run_id": plan.names.run_id,
        "steps": _steps_data(plan.steps),
    }


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield from wrapped(f"{number:>2}. {step.title}", "    ")
        for word, places in (("reads ", step.reads), ("writes", step.writes)):
            for place in places:
                yield from wrapped(f"    {word} {place}", "           ")
    yield from wrapped("Nothing was done: this was a dry run.", "  ")


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
