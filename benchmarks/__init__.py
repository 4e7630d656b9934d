"""What runner costs, measured beside the tools that people would otherwise use, and beside what the machine can do.

`python -m benchmarks --help`, or `make bench`. `docs/benchmarks.md` is written by it.
"""
