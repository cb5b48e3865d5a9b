"""The same application behind the server that production uses, over loopback: bodies whole, broken off, too long."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from uuid import uuid4

import pytest

from notifier.service import Service
from tests.api.calling import Caller, ndjson, new_matter, open_matter
from tests.api.served import Answer, Server, running_server
from tests.installation import Office

Counts = Callable[[], dict[str, int]]


@pytest.fixture(scope="module")
def server(
    api_environment: Mapping[str, str], service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    assert service.settings.public_base_url  # the database is ready
    with running_server(api_environment, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def matter(machine: Caller) -> str:
    return open_matter(machine)


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("rows", [1, 1_000, 100_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_rows_stored_are_rows_sent(
    rows: int, framing: str, server: Server, office: Office, machine: Caller, count_rows: Counts, matter: str
) -> None:
    body = ndjson(rows)
    before = count_rows()
    sent: bytes | Iterable[bytes] = body if framing == "length" else pieces(body, 1_000 if rows < 10_000 else 65_521)
    answer = server.post(f"/v1/matters/{matter}/people", sent, office.machine_token, media="application/x-ndjson")
    assert answer.status == 201, answer.body
    assert (answer.document["rows"], answer.document["persons"], answer.document["unreachable"]) == (rows, rows, 0)
    after = count_rows()
    assert after["person"] - before["person"] == rows
    assert after["contact_point"] - before["contact_point"] == 2 * rows
    assert after["recipient"] - before["recipient"] == rows
    assert after["event"] - before["event"] == rows + 1
    outcomes = machine.get(f"/v1/matters/{matter}").get_json()["outcomes"]
    assert sum(each["persons"] for each in outcomes) == rows


def begun(matter: str, office: Office, header: str, body: bytes) -> bytes:
    lines = [
        f"POST /v1/matters/{matter}/people HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/x-ndjson",
        header,
    ]
    lines += [f"{name}: {value}" for name, value in Server.headers(office.machine_token).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("sent", [0, 100, 200_000])
def test_a_sender_that_hangs_up_stores_nothing(
    framing: str, sent: int, server: Server, office: Office, count_rows: Counts, matter: str
) -> None:
    body = ndjson(3_000)
    before = count_rows()
    if framing == "length":
        request = begun(matter, office, f"Content-Length: {len(body)}", body[:sent])
    else:
        request = begun(matter, office, "Transfer-Encoding: chunked", b"%x\r\n" % len(body) + body[:sent])
    answer = server.raw(request, half_close=True)
    if answer:
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"body-incomplete" in answer
    assert count_rows() == before


def test_a_sender_that_is_gone_stores_nothing(server: Server, office: Office, count_rows: Counts, matter: str) -> None:
    body = ndjson(500)
    before = count_rows()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(begun(matter, office, f"Content-Length: {len(body)}", body[: len(body) // 2]))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
    answer = server.post(f"/v1/matters/{matter}/people", ndjson(1), office.machine_token, media="application/x-ndjson")
    assert answer.status == 201
    assert count_rows()["person"] == before["person"] + 1


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("a wrong chunk size", b"zz\r\n{}\r\n0\r\n\r\n"),
        ("a chunk that is longer than it says", b'2\r\n{"external_id"\r\n0\r\n\r\n'),
        ("an end that is missing", b"2\r\n{}\r\n"),
    ],
)
def test_broken_chunks_store_nothing(
    framing: str, body: bytes, server: Server, office: Office, count_rows: Counts, matter: str
) -> None:
    assert framing
    before = count_rows()
    answer = server.raw(begun(matter, office, "Transfer-Encoding: chunked", body), half_close=True)
    assert not answer or b" 400 " in answer.partition(b"\r\n")[0]
    assert count_rows() == before


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("path", ["/v1/matters", "/v1/matters/{}/people"])
def test_a_document_over_its_limit_is_told_so(
    framing: str, path: str, server: Server, office: Office, count_rows: Counts, matter: str
) -> None:
    before = count_rows()
    body = b"[" + b" " * 10_500_000 + b"]"
    sent: bytes | Iterable[bytes] = body if framing == "length" else pieces(body, 65_536)
    answer = server.post(path.format(matter), sent, office.machine_token, media="application/json")
    assert (answer.status, answer.document["code"]) == (413, "body-too-large")
    assert count_rows() == before


def test_a_list_that_says_it_is_too_long_is_refused_unread(
    server: Server, office: Office, count_rows: Counts, matter: str
) -> None:
    before = count_rows()
    answer = server.raw(begun(matter, office, "Content-Length: 1000000001", b"{}\n"), half_close=True)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert count_rows() == before


def test_two_that_come_at_once_with_one_key_have_one_effect(
    server: Server, office: Office, count_rows: Counts, matter: str
) -> None:
    before, key, body = count_rows(), str(uuid4()), ndjson(5_000)
    answers: list[Answer] = []

    def send() -> None:
        answers.append(
            server.post(
                f"/v1/matters/{matter}/people", body, office.machine_token, media="application/x-ndjson", once=key
            )
        )

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = [answer for answer in answers if answer.status == 201]
    waiting = [answer for answer in answers if answer.status == 409]
    assert len(stored) + len(waiting) == 4
    assert len([answer for answer in stored if "Idempotent-Replayed" not in answer.headers]) == 1
    for answer in waiting:
        assert answer.document["code"] == "idempotency-key-in-progress"
        assert answer.headers["Retry-After"] == "1"
    assert count_rows()["person"] == before["person"] + 5_000
    again = server.post(
        f"/v1/matters/{matter}/people", body, office.machine_token, media="application/x-ndjson", once=key
    )
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")


def test_one_matter_number_used_at_once_is_used_once(server: Server, office: Office, count_rows: Counts) -> None:
    before, body = count_rows(), json.dumps(new_matter()).encode()
    answers: list[Answer] = []

    def send() -> None:
        answers.append(server.post("/v1/matters", body, office.machine_token, media="application/json"))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer.document["code"] for answer in answers if answer.status != 201]
    assert len(refused) == 5
    assert set(refused) <= {"duplicate-matter", "overtaken"}
    assert count_rows()["matter"] == before["matter"] + 1


def test_two_lists_at_once_both_find_their_place(server: Server, office: Office, machine: Caller, matter: str) -> None:
    lists = [ndjson(700, first=0), ndjson(700, first=1_000)]

    def send(body: bytes) -> None:
        server.post(f"/v1/matters/{matter}/people", body, office.machine_token, media="application/x-ndjson")

    threads = [threading.Thread(target=send, args=[body]) for body in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = machine.get(f"/v1/matters/{matter}").get_json()
    assert read["persons"] == 1_400
    last = machine.get(f"/v1/matters/{matter}/people?limit=500").get_json()["people"][-1]
    assert last["ordinal"] == 499


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"CANARY / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nCanary Person: 1\r\n\r\n", 400),
        (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: canary\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
def test_what_is_not_http_is_a_problem_too(request_line: bytes, status: int, server: Server) -> None:
    head, _, body = server.raw(request_line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert b"canary" not in body.lower()


def test_every_kept_connection_is_served_however_many_there_are(server: Server) -> None:
    """More than there are threads, of which many stay with a connection for a moment."""
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with ExitStack() as stack:
        kept = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in range(150)]
        for _ in range(3):
            for connection in kept:
                connection.sendall(request)
            assert [answered(connection) for connection in kept] == [1] * len(kept)
        kept[0].sendall(request * 5)
        assert answered(kept[0], 5) == 5


def answered(connection: socket.socket, count: int = 1) -> int:
    """Read until so many have said that they live; how many did."""
    received = b""
    while received.count(b'alive"}') < count:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received.count(b"HTTP/1.1 200 OK\r\n")


def test_metrics_tell_of_all_processes(server: Server) -> None:
    def healthy() -> int:
        shown = server.raw(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").decode()
        found = re.search(r'requests_total\{method="GET",route="/healthz",status="200"\} (\d+)', shown)
        assert found, shown
        return int(found[1])

    before = healthy()
    for _ in range(20):
        server.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert [healthy() for _ in range(5)] == [before + 20] * 5


def test_nothing_personal_reaches_the_log(server: Server, office: Office, matter: str) -> None:
    canary = {
        "external_id": "Canary-Id",
        "name": "Canary Person",
        "contacts": [{"kind": "phone", "value": "303-555-0177"}],
    }
    path = f"/v1/matters/{matter}/people"
    server.post(path, json.dumps(canary).encode(), office.machine_token, media="application/x-ndjson")
    server.post(f"{path}?name=Canary", b"{", office.machine_token, media="application/x-ndjson")
    server.post("/v1/matters/Canary", b"{}", office.machine_token, media="application/json")
    server.post(
        "/v1/matters", json.dumps(new_matter(Canary=1)).encode(), office.machine_token, media="application/json"
    )
    server.raw(b"GET /Canary HTTP/9.9\r\nCanary: 303-555-0177\r\n\r\n")
    server.raw(b"CANARY Canary\r\n\r\n")
    server.raw(b"GET / HTTP/1.1\r\nCanary Person: 1\r\n\r\n")
    written = server.log.read_text()
    assert '"route": "/v1/matters/<matter_id>/people"' in written
    assert "canary" not in written.lower()
    assert "303-555-0177" not in written
    assert office.machine_token not in written
