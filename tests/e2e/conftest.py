"""An empty home for a command."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home of a short name, which the servers of root may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-e2e-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # a failed test may leave a server that ends only now
