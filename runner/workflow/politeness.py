"""How much of the machine a run takes, as its profile says."""

from runner.events import Logged, Reporter
from runner.lanes import lanes_for
from runner.model.profile import Profile
from runner.priority import lower_priority

_MOST_DUMP_CONNECTIONS = 4


def make_way(profile: Profile | None, reporter: Reporter) -> None:
    """Let others go first from now on, where the profile says `priority: low`. A failure is a line of the log.

    It stays so for the rest of the process, another profile's run included.
    """
    if profile is not None and profile.priority == "low":
        for message in lower_priority():
            reporter(Logged(message))


def lanes_of(profile: Profile | None) -> int:
    """How many threads work at once; without a profile, as many as there are cores to use."""
    return lanes_for(None if profile is None else profile.jobs)


def dump_connections(lanes: int) -> int:
    """How many connections pg_dump reads by: each takes a core here and one on the server, and the rest want theirs."""
    return max(1, min(lanes // 2, _MOST_DUMP_CONNECTIONS))
