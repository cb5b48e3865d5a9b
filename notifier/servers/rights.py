"""Who may reach a file: the questions and acts that keep servers' files closed to everybody else."""

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from notifier.servers.errors import CannotStart


def require_private(path: Path, owner: int) -> None:
    """Refuse (CannotStart) a path that is not a folder of `owner`; close it when others may enter it."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise CannotStart(f"{path} is not a folder of the server's own: remove it, or set NOTIFIER_DATA_DIR")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def is_reachable(folder: Path) -> bool:
    """Whether an unprivileged user gets to `folder`, and none but root can put another in its stead."""
    return all(_owned_by_root(step) and _open_to_all(step) for step in (folder, *folder.parents))


def _owned_by_root(path: Path) -> bool:
    found = path.stat()
    shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid == 0 and not shared


def _open_to_all(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXOTH)


def copy_readable(source: Path, parts: Sequence[str], target: Path) -> None:
    """Copy `parts` of `source` so that everybody may read and run them, whatever our umask is."""
    for part in parts:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, symlinks=True)
        else:
            shutil.copy2(source / part, target / part)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
