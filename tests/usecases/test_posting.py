"""A matter's letters over the wire: the real use cases, workers' code, PostgreSQL, and Lob's side of the sandbox."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from uuid import UUID

import pypdf
import pytest
from sqlalchemy import text

from notifier.bootstrap import build
from notifier.core.model import Channel
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.store.blobs import get_blob
from tests.installation import open_office
from tests.sandbox import Catcher, Sandbox
from tests.usecases.desk import Desk, now, person
from tests.usecases.lob_desk import PostDesk, at
from tests.usecases.post_office import certify
from workers import jobs


@pytest.fixture(scope="module")
def post_service(service: Service, sandbox: Sandbox, catcher: Catcher) -> Iterator[Service]:
    """The same database, with an account at Lob."""
    environment = {
        "DATABASE_URL": str(service.settings.database_url),
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody there, and nobody asks
        "NOTIFIER_KEY_DIR": str(service.settings.key_dir),
        "PUBLIC_BASE_URL": catcher.url(),
        "LOB_BASE_URL": f"{sandbox.url}/v1",
        "LOB_API_KEY": sandbox.lob_key,
        "LOB_WEBHOOK_SECRET": sandbox.lob_secret,
    }
    with with_events(sandbox, catcher):
        built = build(Settings.load(environment, CONFIG_DIR))
        yield built
        built.db.close()


@contextmanager
def with_events(sandbox: Sandbox, catcher: Catcher) -> Iterator[None]:
    sandbox.control(lob_webhook_url=catcher.url("/callbacks/lob_letter"))
    yield
    sandbox.settle()
    sandbox.control(lob_webhook_url="")


@pytest.fixture
def desk(post_service: Service, sandbox: Sandbox, catcher: Catcher) -> Iterator[PostDesk]:
    office = open_office(post_service.db, post_service.vault)
    opened = PostDesk(post_service, office, sandbox, catcher, seen=len(catcher.caught))
    yield opened
    opened.check_everything()


def test_letters_go_out_and_each_ends_where_the_post_says(desk: PostDesk) -> None:
    people = [at(outcome) for outcome in ("", "", "returned", "forwarded", "rejected", "undeliverable", "mailed")]
    matter_id = desk.approved(*people)
    desk.follow_post()
    assert desk.statuses(matter_id) == {"delivered": 3, "returned": 1, "failed": 2, "accepted": 1}
    taken = desk.taken(matter_id)
    assert set(taken.values()) == {1}
    assert len(taken) == 6
    reasons = desk.rows("select reason from attempt where matter_id = :m and reason is not null", m=matter_id)
    assert Counter(row.reason for row in reasons) == {"invalid_address": 1, "unspecified": 1, "returned_by_post": 1}


def test_the_file_that_lob_has_is_the_one_we_keep_and_committed_to(desk: PostDesk) -> None:
    matter_id = desk.approved(at())
    desk.post()
    attempt = desk.only_attempt(matter_id)
    with desk.tx() as tx:
        pdf = get_blob(tx, attempt.blob_id, vault=desk.service.vault)
    [line] = desk.made(matter_id)
    assert line["text_sha256"] == hashlib.sha256(pdf).hexdigest()
    assert (attempt.status, attempt.carrier, attempt.carrier_ref) == ("handed_over", "lob_letter", line["ref"])
    assert desk.events(matter_id)["attempt.composed"] == 1
    [said] = desk.said(matter_id, "attempt.handed_over")
    assert said["data"]["carrier_ref"] == line["ref"]


def test_lob_prints_the_addresses_and_finds_both_windows_empty(desk: PostDesk) -> None:
    matter_id = desk.approved(at())
    desk.post()
    with desk.tx() as tx:
        pdf = get_blob(tx, desk.only_attempt(matter_id).blob_id, vault=desk.service.vault)
    inside: list[str] = []

    def look(words: str, _: object, matrix: Sequence[float], *__: object) -> None:
        x, y = matrix[4] / 72, (792 - matrix[5]) / 72
        if x < 4.7 and 0.45 < y < 2.8 and words.strip():
            inside.append(words)

    page = pypdf.PdfReader(BytesIO(pdf)).pages[0]
    assert "Sample Person" in page.extract_text(visitor_text=look)
    assert inside == []
    assert "Example Street" not in page.extract_text()
    [line] = desk.made(matter_id)
    assert (line["fields"]["to[name]"], line["fields"]["from[address_line1]"]) == ("Sample Person", "PO Box 100")


def test_certified_mail_that_nobody_claims_comes_back(desk: PostDesk) -> None:
    matter_id = desk.approved(at("unclaimed"))
    certify(desk, matter_id)
    desk.follow_post()
    [line] = desk.made(matter_id)
    assert line["fields"]["extra_service"] == "certified_return_receipt"
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason) == ("returned", "returned_by_post")
    words = [row.word for row in desk.rows("select word from receipt order by received_at")]
    assert set(words) >= {"letter.certified.pickup_available", "letter.certified.issue"}
    assert desk.one("select count(*) from contact_flag") == 0  # the address may be right
    desk.look()
    assert desk.one("select count(*) from task where kind = 'mail_returned'") == 1


def test_an_address_from_which_lob_says_that_a_letter_came_back_gets_no_second_one(desk: PostDesk) -> None:
    matter_id = desk.approved(at("returned"))
    desk.follow_post()
    desk.look()
    assert [row.flag for row in desk.rows("select flag from contact_flag")] == ["returned"]
    tasks = desk.rows("select kind from task where matter_id = :m order by kind", m=matter_id)
    assert [row.kind for row in tasks] == ["mail_returned", "not_reached"]
    desk.advance(matter_id, days=30)
    assert desk.statuses(matter_id) == {"returned": 1}
    assert desk.one("select count(*) from task where matter_id = :m", m=matter_id) == 2


def test_a_letter_that_came_back_after_it_seemed_delivered_is_returned(desk: PostDesk) -> None:
    matter_id = desk.approved(at("delivered-then-returned"))
    desk.follow_post()
    assert desk.statuses(matter_id) == {"returned": 1}
    assert desk.events(matter_id)["attempt.arrived"] == 1


@pytest.mark.parametrize("outcome", ["duplicate", "reordered", "early", "unknown"])
def test_receipts_in_any_order_and_number_come_to_the_same(outcome: str, desk: PostDesk) -> None:
    matter_id = desk.approved(at(outcome))
    desk.follow_post()
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert desk.taken(matter_id).total() == 1


def test_an_address_that_lob_would_cut_is_refused_in_words_and_never_posted(desk: PostDesk) -> None:
    long = ["12345 Boulevard of the Example Mountains", "Apartment 12345"]
    matter_id = desk.approved(at(lines=long), person(name="N" * 41, post=True))
    before = desk.sandbox.summary()["counts"].get("lob.requests", 0)
    desk.post()
    rows = desk.rows("select status, reason, carrier_code from attempt where matter_id = :m", m=matter_id)
    assert {tuple(row) for row in rows} == {("failed", "does_not_fit", "street"), ("failed", "does_not_fit", "name")}
    assert desk.sandbox.summary()["counts"].get("lob.requests", 0) == before


def test_a_letter_whose_answer_was_lost_is_found_and_not_made_twice(desk: PostDesk) -> None:
    matter_id = desk.approved(at("timeout-but-silent"))
    desk.post()
    assert desk.statuses(matter_id) == {"unknown": 1}
    desk.ask()
    [line] = desk.made(matter_id)
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.carrier_ref) == ("handed_over", line["ref"])


@pytest.mark.parametrize("outcome", ["timeout-once", "error-once"])
def test_a_letter_that_was_proved_never_made_is_posted_again(outcome: str, desk: PostDesk) -> None:
    matter_id = desk.approved(at(outcome))
    desk.post()
    assert desk.statuses(matter_id) == {"unknown": 1}
    desk.ask()
    assert desk.statuses(matter_id) == {"planned": 1}
    desk.make_due()
    desk.follow_post()
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert desk.taken(matter_id).total() == 1


def test_a_certified_letter_that_is_ordered_once_more_is_certified_again(desk: PostDesk) -> None:
    matter_id = desk.approved(at("error"))
    certify(desk, matter_id)
    desk.post()
    with desk.tx() as tx:
        tx.conn.execute(
            text(
                "update attempt set due_at = due_at - interval '2 days', updated_at = updated_at - interval '2 days'"
                " where matter_id = :matter"
            ),
            {"matter": matter_id},
        )
    desk.ask()
    rows = desk.rows(
        "select status, service from attempt where matter_id = :m order by linked_from nulls first", m=matter_id
    )
    assert [(row.status, row.service) for row in rows] == [("unknown", "certified"), ("planned", "certified")]
    (ordered,) = desk.said(matter_id, "attempt.ordered")
    assert ordered["data"]["service"] == "certified"


def test_a_letter_waits_while_lob_takes_no_more_and_then_goes_out_as_it_was_written(desk: PostDesk) -> None:
    matter_id = desk.approved(at("throttled-once"))
    desk.send(Channel.LETTER, handfuls=1)
    blob = desk.only_attempt(matter_id).blob_id
    assert desk.statuses(matter_id) == {"planned": 1}
    desk.make_due()
    desk.follow_post()
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.blob_id, desk.events(matter_id)["attempt.composed"]) == ("delivered", blob, 1)


def entered(desk: Desk, lines: str) -> None:
    """Lines of a return address, as JSON."""
    with desk.tx() as tx:
        tx.conn.execute(
            text("update agency set profile = jsonb_set(profile, '{return_address}', cast(:lines as jsonb))"),
            {"lines": lines},
        )


def reviews(desk: Desk) -> list[UUID]:
    """What tasks to look at something are about, while they are open."""
    rows = desk.rows("select subject_id from task where kind = 'review' and done_at is null and matter_id is null")
    return [row.subject_id for row in rows]


READABLE = '["Example Agency", "PO Box 100", "Denver CO 80201"]'
UNREADABLE = '["Example Agency", "Our House", "near Denver"]'


def test_an_agency_whose_own_address_cannot_be_read_posts_nothing_and_blames_nobody(desk: PostDesk) -> None:
    matter_id = desk.approved(at())
    entered(desk, UNREADABLE)
    assert desk.post() == 0
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason, attempt.blob_id) == ("planned", None, None)
    assert reviews(desk) == [desk.office.agency_id]
    assert desk.post() == 0
    assert len(reviews(desk)) == 1
    entered(desk, READABLE)
    assert desk.post() == 1


def test_whoever_approves_letters_that_cannot_be_posted_is_told_at_once(desk: PostDesk) -> None:
    entered(desk, UNREADABLE)
    assert desk.post() == 0
    assert reviews(desk) == []  # nothing waits yet
    desk.approved(at())
    assert reviews(desk) == [desk.office.agency_id]


def test_the_mailroom_reads_any_address(service: Service, sandbox: Sandbox, catcher: Catcher) -> None:
    desk = Desk(service, open_office(service.db, service.vault), sandbox, catcher)
    entered(desk, UNREADABLE)
    desk.approved(at())
    assert reviews(desk) == []


def test_a_stopped_matters_letters_are_neither_written_nor_posted(desk: PostDesk) -> None:
    matter_id = desk.approved(at())
    desk.stop(matter_id)
    assert desk.post() == 0
    assert desk.only_attempt(matter_id).blob_id is None


def test_a_stop_takes_back_what_lob_was_given_a_moment_ago(desk: PostDesk) -> None:
    stopped, other = desk.approved(at("waiting"), at("waiting")), desk.approved(at("waiting"))
    desk.post()
    assert desk.tick() == []
    desk.stop(stopped)
    assert "letter" in desk.tick()
    assert desk.withdraw() == 2
    assert "letter" not in desk.tick()
    assert (desk.statuses(stopped), desk.statuses(other)) == ({"planned": 2}, {"handed_over": 1})
    taken_back = {line["attempt"] for line in desk.sandbox.record(carrier="lob", kind="deleted")}
    assert taken_back == set(map(str, desk.attempt_ids(stopped)))
    assert desk.post() == 0


def test_what_was_said_of_a_letter_before_it_was_taken_back_does_not_pass_for_the_next_one(desk: PostDesk) -> None:
    matter_id = desk.approved(at("waiting"))
    desk.post()
    first = desk.only_attempt(matter_id).carrier_ref
    desk.stop(matter_id)
    assert desk.withdraw() == 1
    desk.receive()  # that it was created: said before, heard after
    desk.apply()
    assert desk.statuses(matter_id) == {"planned": 1}
    desk.go_on(matter_id)
    desk.follow_post()
    second = desk.only_attempt(matter_id)
    assert second.status == "handed_over"
    assert [line["ref"] for line in desk.made(matter_id)] == [first, second.carrier_ref]
    assert first != second.carrier_ref
    assert all("duplicate_possible" not in said["data"] for said in desk.said(matter_id, "attempt.handed_over"))


def test_lob_is_asked_once_to_give_back_what_it_will_not(desk: PostDesk) -> None:
    matter_id = desk.approved(at("waiting"))
    desk.post()
    desk.stop(matter_id)
    desk.sandbox.control(cancel_window_ms=0)
    assert desk.withdraw() == 0
    asked = desk.sandbox.summary()["counts"]["lob.requests"]
    assert desk.withdraw() == 0
    desk.sandbox.control(cancel_window_ms=300_000)
    assert desk.sandbox.summary()["counts"]["lob.requests"] == asked
    assert desk.statuses(matter_id) == {"handed_over": 1}


def test_after_the_window_nobody_asks(desk: PostDesk) -> None:
    matter_id = desk.approved(at("waiting"))
    desk.post()
    desk.stop(matter_id)
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set handed_over_at = handed_over_at - interval '301 seconds'"))
    assert desk.withdraw() == 0
    assert desk.sandbox.record(carrier="lob", kind="deleted", attempt=str(desk.attempt_ids(matter_id)[0])) == []


def test_the_mailrooms_letters_and_lobs_keep_apart(desk: PostDesk, service: Service) -> None:
    house = Desk(service, desk.office, desk.sandbox, desk.catcher)
    ours, theirs = house.approved(at(), at()), desk.approved(at("waiting"))
    desk.post()
    assert (desk.statuses(ours), desk.statuses(theirs)) == ({"planned": 2}, {"handed_over": 1})
    assert house.print() is not None
    assert desk.statuses(ours) == {"handed_over": 2}
    assert desk.made(ours) == []
    assert desk.only_attempt(theirs).batch_id is None


def test_a_letter_that_lob_never_speaks_of_is_silent_in_the_end(desk: PostDesk, service: Service) -> None:
    house = Desk(service, desk.office, desk.sandbox, desk.catcher)
    ours, theirs = house.approved(at()), desk.approved(at("silent"))
    desk.post()
    house.print()
    with desk.tx() as tx:
        long_ago = now() - timedelta(days=36)
        tx.conn.execute(text("update attempt set handed_over_at = :then"), {"then": long_ago})
    desk.tick()
    assert (desk.statuses(ours), desk.statuses(theirs)) == ({"handed_over": 1}, {"silent": 1})


def test_a_worker_writes_posts_and_takes_back(desk: PostDesk) -> None:
    matter_id = desk.approved(*(at("waiting") for _ in range(3)))
    worker = jobs.Worker(desk.service, asyncio.new_event_loop())

    def works_until(expected: dict[str, int]) -> bool:
        """Without Redis each process is slow, and this one looks after the agencies of all tests."""
        end = time.monotonic() + 40
        while desk.statuses(matter_id) != expected and time.monotonic() < end:
            jobs.work(worker, "letter", until=time.monotonic() + 2)
        return desk.statuses(matter_id) == expected

    try:
        assert works_until({"handed_over": 3})
        desk.stop(matter_id)
        assert works_until({"planned": 3})
    finally:
        for sender in worker.senders.values():
            worker.loop.run_until_complete(sender.carrier.close())
        worker.loop.close()
    assert desk.taken(matter_id).total() == 3
