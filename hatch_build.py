"""Compiles the catalogs of translations when the package is built or installed from its sources."""

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Every `.po` below `runner/locale` gets its `.mo`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Called before the files of the package are collected."""
        for source in Path(self.root, "runner", "locale").rglob("*.po"):
            with source.open("rb") as file:
                catalog = read_po(file)
            target = source.with_suffix(".mo")
            with target.open("wb") as file:
                write_mo(file, catalog)
            build_data["artifacts"].append(f"/{target.relative_to(self.root).as_posix()}")
