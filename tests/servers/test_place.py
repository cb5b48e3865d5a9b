"""Where servers keep their files: for an ordinary user, and for root, whose servers run as somebody else."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from notifier.servers import place, postgres
from notifier.servers.errors import CannotStart

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about servers that root starts")
as_a_user = pytest.mark.skipif(os.geteuid() == 0, reason="about servers that an ordinary user starts")


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that only its owner may enter, as a checkout may be; what stands for it elsewhere goes with it."""
    checkout = Path(tempfile.mkdtemp(prefix="notifier-closed-"))
    yield checkout / "postgres"
    for link in checkout.glob("*/elsewhere"):
        shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(checkout)


def entered_by_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o007)


@as_root
def test_roots_server_in_a_closed_checkout_runs_elsewhere_as_somebody_else(closed_folder: Path) -> None:
    with postgres.running(closed_folder, durable=False) as server:
        assert server.process is not None
        assert os.stat(f"/proc/{server.process.pid}").st_uid != 0  # noqa: PTH116 - the process, not a file
        assert server.folder.parent == place.STATE_ROOT
        assert (closed_folder / "elsewhere").resolve() == server.folder
        assert not entered_by_others(server.folder)
        with psycopg.connect(server.url) as connection:
            connection.execute("create table kept as select 7 as a")
    assert stat.S_IMODE(closed_folder.parent.stat().st_mode) == 0o700
    with postgres.running(closed_folder, durable=False) as again, psycopg.connect(again.url) as connection:
        assert connection.execute("select a from kept").fetchone() == (7,)


@as_root
def test_two_that_start_at_once_in_a_closed_checkout_share_one_place(closed_folder: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: place.find_place(closed_folder).folder, range(8)))
    assert len(set(found)) == 1


@as_root
def test_a_moved_checkout_keeps_its_place_and_a_copied_one_gets_its_own(closed_folder: Path) -> None:
    checkout = closed_folder.parent
    first = place.find_place(closed_folder)
    moved = closed_folder.rename(checkout / "moved")
    assert place.find_place(moved).folder == first.folder
    copied = checkout / "copied"
    shutil.copytree(moved, copied, symlinks=True)
    assert place.find_place(copied).folder != first.folder
    assert place.find_place(moved).folder == first.folder


@as_root
def test_a_place_is_not_left_when_the_way_to_it_is_closed_later(server_folder: Path) -> None:
    opened = server_folder / "opened"
    opened.mkdir()
    opened.chmod(0o755)
    found = place.find_place(opened / "postgres")
    assert found.folder == opened / "postgres"
    with found.locked():
        pass
    opened.chmod(0o700)
    with pytest.raises(CannotStart, match="closed to its server's user"):
        place.find_place(opened / "postgres")


@as_root
def test_root_does_not_start_servers_in_somebody_elses_folder(server_folder: Path) -> None:
    theirs = server_folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(CannotStart, match="belongs to another user"):
        place.find_place(theirs)


@as_root
def test_nobody_else_can_swap_the_folders_above_roots_server(closed_folder: Path, server_folder: Path) -> None:
    shared = server_folder / "shared-by-all"
    shared.mkdir()
    shared.chmod(0o777)
    found = place.find_place(shared / "postgres")
    assert found.folder.parent == place.STATE_ROOT
    shutil.rmtree(found.folder)
    assert closed_folder.parent.exists()


@as_root
def test_programs_are_copied_for_a_user_who_cannot_reach_them(closed_folder: Path, server_folder: Path) -> None:
    closed_folder.mkdir(mode=0o700)
    (closed_folder / "bin").mkdir(mode=0o700)
    (closed_folder / "bin" / "true").touch(0o700)
    (closed_folder / "bin" / "text").touch(0o600)
    home = server_folder / "with-programs"
    found = place.find_place(home)
    copy = found.programs(closed_folder, ["bin/true", "bin/text"], label="1")
    assert copy.parent == home
    assert stat.S_IMODE((copy / "bin" / "true").stat().st_mode) == 0o755
    assert stat.S_IMODE((copy / "bin" / "text").stat().st_mode) == 0o644


@as_a_user
def test_an_ordinary_users_server_runs_in_the_folder_asked_for(closed_folder: Path) -> None:
    found = place.find_place(closed_folder)
    assert found.folder == closed_folder
    assert found.identity is None


@as_a_user
def test_a_folder_of_somebody_else_is_refused() -> None:
    with pytest.raises(CannotStart, match="NOTIFIER_DATA_DIR"):
        place.find_place(Path("/nowhere/to/be/made"))
    with pytest.raises(CannotStart, match="NOTIFIER_DATA_DIR"):
        place.find_place(Path("/usr"))


def test_a_folder_that_others_could_enter_is_closed(server_folder: Path) -> None:
    wide = server_folder / "wide"
    wide.mkdir(mode=0o777)
    wide.chmod(0o777)
    assert not entered_by_others(place.find_place(wide).folder)


def test_a_link_in_a_private_folders_stead_is_refused(server_folder: Path) -> None:
    found = place.find_place(server_folder / "tricked")
    (found.folder / "socket").symlink_to(server_folder)
    with pytest.raises(CannotStart, match="not a folder of the server's own"):
        found.private_folder("socket")


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(server_folder: Path) -> None:
    found = place.find_place(server_folder / "secretive")
    word = found.secret("word")
    assert len(word) == 48
    assert found.secret("word") == word
    assert stat.S_IMODE((found.folder / "word").stat().st_mode) == 0o600
