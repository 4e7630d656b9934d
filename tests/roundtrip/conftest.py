"""Makers of the databases that are restored here: by a role that may not create any."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.roundtrip.shops import MakeShop, shops
from tests.servers.postgresql import Cluster


@pytest.fixture
def make_shop(cluster: Cluster, tmp_path: Path) -> Iterator[MakeShop]:
    with shops(cluster, tmp_path) as built:
        yield built
