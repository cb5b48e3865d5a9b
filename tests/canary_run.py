"""People nobody else is called like, and a run in which everything happens to them that can go wrong."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import text

from tests.installation import open_office
from tests.workers.house import House

NAME, NATIVE, OTHER = "Zephyrine Quackenbush", "ዘፍሪን ኳከንቡሽ", "Bartholomew Yttrium"
MOVED_TO = "8123 Improbable Esplanade"
STREET, CITY, ZIP = "4711 Unmistakable Causeway", "Quillayute", "98331-7719"
MAILBOX = "zephyrine.quackenbush@example.org"
BOUNCING = "bounced.yttrium-bartholomew@example.net"
REFUSED_MAILBOX = "invalid.yttrium-refused@example.com"
PHONES = {"good": "+17195550151", "bad": "+17195550160", "slow": "+17195550174", "cut": "+17195550179"}
LANGUAGE = "rhg-Latn"
ISSUER, NUMBER, DATED = "Quibblesworth Field Office", "QX-99817-HERON", "2026-10-03"
TARGET = "Zanzibar Roofing Consortium"
MATTER, PERSON = "MX-PUFFIN-55", "PX-PUFFIN"
WRITTEN = "kittiwake over skerryvore"

CANARIES = {
    "a name": NAME,
    "a surname": "Quackenbush",
    "a name in its own script": NATIVE,
    "another name": OTHER,
    "a street": STREET,
    "a street that the post named": MOVED_TO,
    "a city": CITY,
    "a postal code": ZIP,
    "a mailbox": MAILBOX,
    "a mailbox that bounces": BOUNCING,
    "a mailbox that is refused": REFUSED_MAILBOX,
    **{f"a number: {name}": phone for name, phone in PHONES.items()},
    **{f"the last seven digits: {name}": phone[-7:] for name, phone in PHONES.items()},
    **{f"a number as written: {name}": f"719-555-{phone[-4:]}" for name, phone in PHONES.items()},
    "a language": LANGUAGE,
    "a language's name": "Rohingya",
    "an issuer": ISSUER,
    "a demand's number": NUMBER,
    "a demand's date": DATED,
    "a target": TARGET,
    "an agency's number for a matter": MATTER,
    "an agency's number for a person": PERSON,
    "what somebody wrote to us": WRITTEN,
}

DEMAND = {
    "issuer": ISSUER,
    "issuer_class": "federal_immigration",
    "instrument": "admin_subpoena",
    "number": NUMBER,
    "dated": DATED,
    "received_on": "2026-11-16",
    "return_date": None,
    "judge_signed": "no",
    "nondisclosure": "none",
    "record_types": ["wages"],
    "already_released": False,
}
ADDRESS = {"lines": [STREET], "city": CITY, "region": "WA", "postal_code": ZIP, "country": "US"}


def person(number: int, **contacts: object) -> dict[str, object]:
    given = [{"kind": kind, "address" if kind == "post" else "value": value} for kind, value in contacts.items()]
    return {
        "external_id": f"{PERSON}-{number}",
        "name": NAME if number % 2 else OTHER,
        "native_name": NATIVE,
        "language": LANGUAGE if number % 3 == 0 else "es",
        "contacts": given,
    }


@dataclass
class Run:
    """What one run through everything has left behind."""

    house: House
    matter: str = ""
    monitor: bytes = b""
    refusals: list[bytes] = field(default_factory=list)

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Call the API; what it answers to a mistake is kept."""
        where = urlsplit(self.house.environment["PUBLIC_BASE_URL"])
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
        given = {
            "Authorization": f"Bearer {token or self.house.office.machine_token}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid4()),
            **(headers or {}),
        }
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            self.refusals.append(content + repr(answer.getheaders()).encode())
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content

    def good(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        status, answer = self.call(method, path, content, **options)
        assert 200 <= status < 300, answer
        return answer

    def bad(self, method: str, path: str, body: object = None, **options: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        status, _ = self.call(method, path, content, **options)
        assert 400 <= status < 600, (method, status)


def take_in(run: Run) -> None:
    """Lists in every format."""
    people = [
        person(1, phone=PHONES["good"], email=MAILBOX, post=ADDRESS),
        person(2, phone=PHONES["bad"], email=BOUNCING),
        person(3, phone="719-555-0151 ext 9", post=ADDRESS | {"city": ""}),
    ]
    targets = [{"kind": "organisation", "name": TARGET}]
    body = {"external_id": MATTER, "demand": DEMAND, "targets": targets, "people": people}
    matter = run.good("POST", "/v1/matters", body)["matter_id"]
    run.matter = matter
    lines = b"".join(
        json.dumps(one).encode() + b"\n"
        for one in (person(4, phone=PHONES["slow"], email=REFUSED_MAILBOX), person(5, phone=PHONES["cut"]))
    )
    path = f"/v1/matters/{matter}/people"
    run.good("POST", path, lines, headers={"Content-Type": "application/x-ndjson"})
    table = "external_id,name,native_name,language,phone,email,address_line1,city,region,postal_code\n"
    table += f"{PERSON}-6,{NAME},{NATIVE},{LANGUAGE},{PHONES['good']},{MAILBOX},{STREET},{CITY},WA,{ZIP}\n"
    run.good("POST", path, table.encode(), headers={"Content-Type": "text/csv"})


def refuse(run: Run) -> None:
    """Every kind of request that is refused, full of what must not be repeated."""
    matter = run.matter
    path = f"/v1/matters/{matter}/people"
    body = {"external_id": f"{MATTER}-2", "demand": DEMAND}
    run.bad("POST", "/v1/matters", {"external_id": MATTER, "demand": DEMAND})
    run.bad("POST", "/v1/matters", body | {"packs": [NAME]})
    run.bad("POST", "/v1/matters", body | {NAME: MAILBOX})
    run.bad("POST", "/v1/matters", body | {"demand": DEMAND | {"issuer_class": ISSUER, "dated": NUMBER}})
    run.bad("POST", "/v1/matters", body | {"demand": DEMAND | {"record_types": [OTHER]}})
    run.bad("POST", "/v1/matters", body | {"people": [person(7) | {"language": "Rohingya"}]})
    run.bad("POST", "/v1/matters", body | {"people": [person(7), person(7)]})
    run.bad("POST", "/v1/matters", body | {"people": [person(7) | {"name": [NAME]}]})
    run.bad("POST", "/v1/matters", body | {"people": [person(7) | {"name": NAME * 50}]})
    run.bad("POST", "/v1/matters", body | {"people": [person(7) | {"contacts": [{"kind": NAME, "value": MAILBOX}]}]})
    run.bad("POST", "/v1/matters", f'{{"external_id": "{MATTER}", {NAME}'.encode())
    run.bad("POST", "/v1/matters", f'{{"external_id": "\\ud800{MATTER}"}}'.encode())
    run.bad("POST", "/v1/matters", f'{{"external_id": "\\u0000{MATTER}"}}'.encode())
    run.bad("POST", "/v1/matters", NAME.encode(), headers={"Content-Type": f"text/{quote(NAME)}"})
    run.bad("POST", path, json.dumps(person(1)).encode(), headers={"Content-Type": "application/x-ndjson"})
    run.bad("POST", path, f"{NAME},{MAILBOX}\n{OTHER}\n".encode(), headers={"Content-Type": "text/csv"})
    run.bad("POST", path, f"external_id,name\n{PERSON},\x00{NAME}\n".encode(), headers={"Content-Type": "text/csv"})
    run.bad("GET", f"/v1/matters?cursor={quote(NAME)}")
    run.bad("GET", f"/v1/matters?{quote(NAME)}=1")
    run.bad("GET", f"/v1/matters/{quote(MATTER)}")
    run.bad("GET", f"/v1/people/{quote(NAME)}?phone={quote(PHONES['good'])}")
    run.bad("GET", f"/{quote(NAME)}/{MAILBOX}")
    run.bad("DELETE", f"/v1/people/{quote(PERSON)}")
    run.bad("GET", "/v1/matters", token=f"ntf_test_{quote(NAME)}-{quote(OTHER)}")
    run.bad("POST", f"/v1/matters/{matter}/stop", {"reason": NAME})
    run.bad("POST", f"/v1/matters/{matter}/approve", {}, headers={"Idempotency-Key": NAME * 20})
    run.bad("POST", "/callbacks/twilio_sms?agency=x&attempt=" + quote(NAME), f"To={quote(PHONES['good'])}".encode())
    run.bad("POST", "/callbacks/sendgrid_email", json.dumps([{"email": MAILBOX}]).encode())
    run.bad("POST", f"/callbacks/{quote(NAME)}", b"{}")
    _speak_nonsense(run, f"GET /{quote(NAME)} HTTP/9.9\r\nX-Name: {MAILBOX}\r\n\r\n".encode())
    _speak_nonsense(run, f"{MAILBOX}\r\n\r\n".encode())
    _speak_nonsense(run, f"POST /v1/matters HTTP/1.1\r\nHost: x\r\nContent-Length: {NAME}\r\n\r\n".encode())


def _speak_nonsense(run: Run, said: bytes) -> None:
    where = urlsplit(run.house.environment["PUBLIC_BASE_URL"])
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        connection.sendall(said)
        connection.settimeout(5)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    run.refusals.append(answer)


def send_and_follow(run: Run) -> None:
    """Approve, send, and take in what the carriers say."""
    matter = run.matter
    run.good("POST", f"/v1/matters/{matter}/approve", {}, token=run.house.office.personal_token)

    def settled() -> bool:
        statuses = run.house.statuses(UUID(matter))
        return set(statuses) <= {"delivered", "failed", "handed_over"} and statuses["handed_over"] == 2

    run.house.until(settled, 40)
    public = run.house.environment["PUBLIC_BASE_URL"]
    run.house.sandbox.control(inbound_url=f"{public}/callbacks/twilio_inbound")
    for number in (PHONES["good"], "+17195550199"):  # somebody's, and nobody's
        run.house.sandbox.write(number, WRITTEN)
    run.house.until(lambda: len(run.house.rows("select from inbound")) == 2)
    for page in ("", "/people", "/lists"):
        run.good("GET", f"/v1/matters/{matter}{page}")
    for row in run.house.rows("select person_id from person"):
        run.good("GET", f"/v1/people/{row.person_id}")
    batch = run.good("GET", "/v1/print-batches", token=run.house.office.personal_token)["batches"][0]
    for part in ("pdf", "manifest", "totals"):
        run.good("GET", f"/v1/print-batches/{batch['batch_id']}/{part}", token=run.house.office.personal_token)
    (letter, *_) = run.house.rows("select attempt_id from attempt where channel = 'letter' and batch_id is not null")
    back = {
        "piece": str(letter.attempt_id),
        "reason": "FOE",
        "returned_on": f"{datetime.now(ZoneInfo('America/Denver')):%Y-%m-%d}",
    }
    moved = {"pieces": [{**back, "forwarding_address": {**ADDRESS, "lines": [MOVED_TO]}}]}
    run.bad("POST", "/v1/returned-mail", {"pieces": [{**back, "piece": NAME}]}, token=run.house.office.personal_token)
    run.good("POST", "/v1/returned-mail", moved, token=run.house.office.personal_token)


def break_things(run: Run) -> None:
    """Let workers and pages fail in the middle of somebody's data, with that data in the text of the exception."""
    house = run.house
    attempt, receipt = (house.rows(f"select * from {name} limit 1")[0] for name in ("attempt", "receipt"))  # noqa: S608 # ours
    with house.db.transaction(house.office.agency_id) as tx:
        spoil = text("update attempt set status = :name where attempt_id = :id")
        tx.conn.execute(spoil, {"name": NAME, "id": attempt.attempt_id})
        spoil = text("update receipt set event = :name, applied_at = null where receipt_id = :id")
        tx.conn.execute(spoil, {"name": NAME, "id": receipt.receipt_id})
    status, _ = run.call("GET", f"/v1/people/{attempt.person_id}")
    assert status == 500  # the page cannot say where this attempt stands
    house.until(lambda: b"receipt not applied" in house.logs()["receipts"])
    with house.db.transaction(house.office.agency_id) as tx:
        mend = text("update attempt set status = :status where attempt_id = :id")
        tx.conn.execute(mend, {"status": attempt.status, "id": attempt.attempt_id})
        mend = text("update receipt set event = :event, applied_at = null, result = null where receipt_id = :id")
        tx.conn.execute(mend, {"event": receipt.event, "id": receipt.receipt_id})
    house.until(lambda: not house.rows("select from receipt where applied_at is null"))
    break_a_matter(run)


def break_a_matter(run: Run) -> None:
    """In another agency, a demand whose date is none: no message and no letter about it can be written."""
    house = run.house
    office = open_office(house.db, house.vault, name="Another Agency")
    run.bad("GET", f"/v1/matters/{run.matter}", token=office.machine_token)
    people = [person(8, phone=PHONES["good"], email=MAILBOX, post=ADDRESS)]
    body = {"external_id": MATTER, "demand": DEMAND, "people": people}
    matter = run.good("POST", "/v1/matters", body, token=office.machine_token)["matter_id"]
    with house.db.transaction(office.agency_id) as tx:
        demand = tx.conn.execute(text("select demand_id from demand")).scalar_one()
        cipher = house.vault.cipher(tx, UUID(matter))
        undated = json.dumps({"issuer": ISSUER, "number": NUMBER, "dated": NAME}).encode()
        values = {"sealed": cipher.seal(undated, "demand.sealed", demand)}
        tx.conn.execute(text("update demand set sealed = :sealed"), values)
    run.good("POST", f"/v1/matters/{matter}/approve", {}, token=office.personal_token)
    house.until(lambda: all(b"attempt.unreadable" in house.logs()[name] for name in ("sms", "email", "letter")))
    run.good("POST", f"/v1/matters/{matter}/stop", {"reason": "mistake_in_text"}, token=office.machine_token)


@contextmanager
def monitored(redis_url: str) -> Iterator[bytearray]:
    """Every command that Redis is given meanwhile."""
    heard = bytearray()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(redis_url.removeprefix("unix://"))
    connection.sendall(b"MONITOR\r\n")

    def listen() -> None:
        while part := connection.recv(65536):
            heard.extend(part)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield heard
    finally:
        time.sleep(0.2)
        connection.shutdown(socket.SHUT_RDWR)
        listener.join(10)
        connection.close()
