"""Real servers, started and killed."""

import stat
from pathlib import Path

import pytest
from redis import Redis

from notifier.servers import redis
from notifier.servers.errors import CannotStart


def test_a_server_starts_answers_and_leaves_nothing_running(server_folder: Path) -> None:
    with redis.running(server_folder / "redis-new") as server:
        with Redis.from_url(server.url) as client:
            assert client.ping() is True
        process = server.process
    assert process is not None
    assert process.poll() == 0


def test_nothing_is_written_to_disk_and_no_port_is_open(server_folder: Path) -> None:
    with redis.running(server_folder / "redis-alone") as server, Redis.from_url(server.url) as client:
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.config_get("port") == {"port": "0"}
        assert stat.S_IMODE((server.folder / "socket").stat().st_mode) == 0o700
        assert server.folder.stat().st_mode & 0o067 == 0


def test_a_second_starter_shares_the_running_server(server_folder: Path) -> None:
    with redis.running(server_folder / "redis-shared") as first, Redis.from_url(first.url) as client:
        with redis.running(server_folder / "redis-shared") as second:
            assert second.process is None
            assert second.url == first.url
        assert client.ping() is True


def test_a_server_killed_with_minus_nine_starts_again_empty(server_folder: Path) -> None:
    with redis.running(server_folder / "redis-killed") as first:
        assert first.process is not None
        with Redis.from_url(first.url) as client:
            client.set("word", "lost")
        first.process.kill()
        with redis.running(server_folder / "redis-killed") as second, Redis.from_url(second.url) as client:
            assert second.process is not None
            assert client.get("word") is None


def test_a_server_that_cannot_start_says_why(server_folder: Path) -> None:
    folder = server_folder / "redis-blocked"
    with redis.running(folder) as server:
        socket = server.folder / "socket" / "redis.sock"
    socket.mkdir()
    with pytest.raises(CannotStart, match="files cannot be used"):
        redis.start(folder)
