"""Declarative, config-driven backup and restore of a database plus a folder of uploads."""

__version__ = "0.1.0"
