"""Makers of the databases that are restored here, beside the live one and in place, and scenes of whole restores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.restores import PostgresqlScene, Scene, fresh_postgresql_scene, sqlite_scene
from tests.roundtrip.schools import Make, schools
from tests.roundtrip.shops import MakeShop, shops
from tests.servers.postgresql import Cluster


@pytest.fixture
def make(cluster: Cluster, tmp_path: Path) -> Iterator[Make]:
    with schools(cluster, tmp_path) as built:
        yield built


@pytest.fixture
def make_shop(cluster: Cluster, tmp_path: Path) -> Iterator[MakeShop]:
    with shops(cluster, tmp_path) as built:
        yield built


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return sqlite_scene(tmp_path)


@pytest.fixture
def postgresql(cluster: Cluster, tmp_path: Path) -> Iterator[PostgresqlScene]:
    with fresh_postgresql_scene(tmp_path, cluster) as made:
        yield made
