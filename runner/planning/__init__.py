"""Plans: a profile (and later a manifest) in, ordered steps out. Pure: no file, clock, environment or server."""

from runner.planning.apply import plan_apply

__all__ = ["plan_apply"]
