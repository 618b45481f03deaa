"""One commit position shared by all rows of a COPY, and a kill at every point that they pass."""

import pytest

from support.changes import drop_slots
from support.copy_kills import PASSED, CopyKills


@pytest.fixture
def shop(database):
    yield database
    drop_slots(database)


@pytest.mark.parametrize("kind", PASSED)
def test_rows_of_one_copy_come_whole(shop, project, kind):
    """debezium#DBZ-3641 and its like: after a crash in the middle of a transaction its rest was taken for known and left out."""
    done = CopyKills(shop, project, 50_000).run(kind)
    assert len(done) == len(PASSED[kind]), done
