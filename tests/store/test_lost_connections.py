"""A server that was restarted costs nobody a transaction; one that goes in the middle of a transaction undoes it."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from notifier.store.engine import AWAY, Database
from tests.connections import cut
from tests.installation import Office


def backend(db: Database, office: Office) -> int:
    with db.transaction(office.agency_id) as tx:
        return int(tx.conn.execute(text("select pg_backend_pid()")).scalar_one())


def move(db: Database, office: Office, meanwhile: Callable[[], int], *, then: str = "") -> None:
    """A transaction in which something happens to it."""
    with db.transaction(office.agency_id) as tx:
        tx.conn.execute(text("update agency set zone = 'America/Chicago'"))
        meanwhile()
        if then:
            tx.conn.execute(text(then))


def test_a_kept_connection_that_is_dead_is_replaced_before_anything_is_done(
    db: Database, office: Office, url: str
) -> None:
    before = backend(db, office)
    assert backend(db, office) == before
    assert cut(url)
    assert backend(db, office) != before


def test_all_kept_connections_may_be_dead(db: Database, office: Office, url: str) -> None:
    with db.transaction(office.agency_id), db.transaction(office.agency_id), db.no_agency():
        pass
    assert cut(url) >= 3
    with db.transaction(office.agency_id), db.transaction(office.agency_id), db.no_agency():
        pass


def test_a_connection_cut_in_the_middle_undoes_everything(db: Database, office: Office, url: str) -> None:
    with pytest.raises(AWAY):
        move(db, office, lambda: cut(url), then="select 1")
    with db.transaction(office.agency_id) as tx:
        assert tx.conn.execute(text("select zone from agency")).scalar_one() == "America/Denver"


def test_a_connection_cut_before_the_commit_undoes_everything_and_says_so(
    db: Database, office: Office, url: str
) -> None:
    with pytest.raises(AWAY):
        move(db, office, lambda: cut(url))
    with db.transaction(office.agency_id) as tx:
        assert tx.conn.execute(text("select zone from agency")).scalar_one() == "America/Denver"


def test_a_server_that_is_away_is_told_and_not_waited_for() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(AWAY), nowhere.no_agency():
        pass
    nowhere.close()


def test_a_mistake_of_ours_is_not_tried_again(db: Database, office: Office) -> None:
    with pytest.raises(ZeroDivisionError):
        move(db, office, lambda: 1 // 0)
    with db.transaction(office.agency_id) as tx:
        assert tx.conn.execute(text("select zone from agency")).scalar_one() == "America/Denver"


def test_who_finds_every_connection_in_use_is_told(url: str, office: Office) -> None:
    crowded = Database(url, pool_size=1, give_up_seconds=0.1)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(crowded.transaction(office.agency_id))
        with pytest.raises(AWAY), crowded.transaction(office.agency_id):
            pass
    crowded.close()
