"""Makers of the databases that are restored here: beside the live one, and in place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
