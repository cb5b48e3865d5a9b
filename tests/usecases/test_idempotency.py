"""One request, one effect, however often it arrives and however many at once."""

import threading
from collections import Counter
from uuid import uuid4

import pytest

from notifier.core.errors import Conflict, Forbidden, Invalid, Refused
from notifier.store.engine import Tx
from notifier.usecases.access import Principal
from notifier.usecases.idempotency import Reply, once
from tests.installation import open_office
from tests.usecases.around import own_key
from tests.usecases.desk import Desk, now


class Counted:
    """An act that says how often it was done."""

    def __init__(self, *, fails: int = 0) -> None:
        self.times = 0
        self._fails = fails

    def __call__(self, _: Tx) -> Reply:
        self.times += 1
        if self.times <= self._fails:
            raise Invalid("not-valid", "Not valid.")
        return Reply(201, {"times": self.times})


def test_the_second_time_the_first_reply_is_given_again(desk: Desk) -> None:
    act = Counted()
    assert do(desk, act) == Reply(201, {"times": 1})
    assert do(desk, act) == Reply(201, {"times": 1}, replayed=True)
    assert act.times == 1


def test_another_key_is_another_request(desk: Desk) -> None:
    act = Counted()
    assert do(desk, act, key="one").body == {"times": 1}
    assert do(desk, act, key="two").body == {"times": 2}


def test_the_same_key_for_another_request_is_refused(desk: Desk) -> None:
    act = Counted()
    do(desk, act)
    with pytest.raises(Invalid, match="idempotency-key-reused"):
        do(desk, act, digest=b"another body")
    assert act.times == 1


def test_a_second_key_of_the_same_officer_replays_too(desk: Desk) -> None:
    act = Counted()
    do(desk, act, principal=desk.office.uploader)
    assert do(desk, act, principal=own_key(desk)).replayed


def test_officers_and_agencies_have_keys_of_their_own(desk: Desk) -> None:
    act = Counted()
    stranger = open_office(desk.service.db, desk.service.vault)
    for principal in (desk.office.uploader, desk.office.approver, stranger.uploader):
        do(desk, act, principal=principal)
    assert act.times == 3


def test_a_refusal_stores_nothing_and_may_be_corrected_under_the_same_key(desk: Desk) -> None:
    act = Counted(fails=1)
    with pytest.raises(Invalid, match="not-valid"):
        do(desk, act, digest=b"wrong")
    assert desk.one("select count(*) from idempotency") == 0
    assert do(desk, act, digest=b"right").status == 201


def test_what_the_act_did_is_undone_when_it_fails(desk: Desk) -> None:
    def act(tx: Tx) -> Reply:
        tx.conn.exec_driver_sql("update agency set name = 'changed'")
        raise Forbidden("no", "No.")

    with pytest.raises(Forbidden):
        do(desk, act)
    assert desk.one("select name from agency") == "Example Agency"


def test_two_at_once_are_one_and_the_other_is_told_to_wait(desk: Desk) -> None:
    outcomes: Counter[str] = Counter()
    act = Counted()
    barrier = threading.Barrier(6)
    key = str(uuid4())

    def slowly(tx: Tx) -> Reply:
        reply = act(tx)
        tx.conn.exec_driver_sql("select pg_sleep(0.05)")
        return reply

    def send() -> None:
        barrier.wait()
        for _ in range(20):
            try:
                reply = do(desk, slowly, key=key)
                outcomes["replayed" if reply.replayed else "done"] += 1
            except Conflict as conflict:
                outcomes[f"{conflict.code}, {conflict.retry_after} s"] += 1

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert act.times == 1
    assert outcomes["done"] == 1
    assert outcomes["replayed"] > 0
    assert sum(outcomes.values()) == 120
    assert set(outcomes) <= {"done", "replayed", "idempotency-key-in-progress, 1 s"}


def test_a_key_is_not_kept_as_it_was_sent(desk: Desk) -> None:
    do(desk, Counted(), key="Example Person 303-555-0142")
    assert "Example" not in repr(desk.rows("select key_digest, request_digest, body from idempotency"))


def test_only_refusals_of_our_own_come_through(desk: Desk) -> None:
    assert issubclass(Conflict, Refused)
    with pytest.raises(ZeroDivisionError):
        do(desk, lambda _: Reply(200, {"x": 1 // 0}))
    assert desk.one("select count(*) from idempotency") == 0


def do(
    desk: Desk, act: object, *, key: str = "key", digest: bytes = b"digest", principal: Principal | None = None
) -> Reply:
    assert callable(act)
    return once(desk.service.db, principal or desk.office.uploader, key=key, request_digest=digest, now=now(), act=act)
