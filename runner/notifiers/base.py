"""What is told, and what can go wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.errors import StepFailed
from runner.model.profile import Occasion

SECONDS: Final = 10.0
"""How long a service may take: a backup waits for it."""


class NotSent(StepFailed):
    """A message did not reach its service. It never says the address, which holds a secret."""

    code = "notify.not-sent"


@dataclass(frozen=True, slots=True)
class Notice:
    """A short text for a person, and `data` for a program that gets it."""

    occasion: Occasion
    subject: str
    body: str
    data: Mapping[str, Any] = field(default_factory=dict)
