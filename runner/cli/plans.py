"""Plans as text and as JSON."""

from collections.abc import Iterator
from typing import Any

from runner.cli.text import wrapped
from runner.model.plan import Plan


def plan_lines(plan: Plan) -> Iterator[str]:
    """Numbered steps, each with what it reads and what it writes."""
    yield from wrapped(f"Plan: {plan.variant.value} backup of {plan.profile.name} into {plan.archive_name}", "  ")
    for number, step in enumerate(plan.steps, 1):
        yield from wrapped(f"{number:>2}. {step.title}", "    ")
        for word, places in (("reads ", step.reads), ("writes", step.writes)):
            for place in places:
                yield from wrapped(f"    {word} {place}", "           ")
    yield from wrapped("Nothing was done: this was a dry run.", "  ")


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "command": "apply",
        "profile": plan.profile.name,
        "variant": plan.variant.value,
        "archive": plan.archive_name,
        "steps": [
            {
                "number": number,
                "action": step.action.value,
                "title": str(step.title),
                "reads": list(step.reads),
                "writes": list(step.writes),
            }
            for number, step in enumerate(plan.steps, 1)
        ],
    }
