"""A small project for the tests of the commands."""

from pathlib import Path

import pytest

from tests.projects import Project, sqlite_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return sqlite_project(tmp_path / "project", rows=40)
