"""Plans: a profile (and later a manifest) in, ordered steps out. Pure: no file, clock, environment or server."""

from runner.planning.apply import plan_apply
from runner.planning.restore import RestoreWish, plan_restore

__all__ = ["RestoreWish", "plan_apply", "plan_restore"]
