"""How Gunicorn serves the HTTP surfaces. WEB_CONCURRENCY sets the number of processes."""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

from notifier.core.errors import SettingsError
from notifier.settings import Settings

try:
    _settings = Settings.load(os.environ, Path(__file__).parent)
except SettingsError as error:
    sys.exit("\n".join(error.problems))

bind = _settings.bind
loglevel = _settings.log_level.lower()
worker_class = "notifier.serving.Worker"  # gthread, with problem documents for what is not HTTP
logger_class = "notifier.serving.Log"
if "WEB_CONCURRENCY" not in os.environ:  # Gunicorn reads it itself
    workers = 2
threads = 32
timeout = 60  # seconds without a sign of life of a process; a slow request is none
graceful_timeout = 20
keepalive = 15
# The heartbeat is a file: in memory it cannot hang on a slow disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - Gunicorn makes its file safely
control_socket_disable = True  # it would write below HOME, and let others steer the server
accesslog = None  # a request line may hold a person's code; telemetry.py logs requests without it

# Processes share their counts in files of this folder, so that /metrics tells of all of them. It is named before
# anything loads prometheus_client, which looks for it once.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="notifier-counts-")


GARBAGE = 10_000  # new objects that are not given up by themselves, a few megabytes at most


def post_worker_init(_: object) -> None:
    """Search for garbage seldom, and not in what was loaded for good: a fifth of what a long list costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def on_exit(_: object) -> None:
    """Take the counts away when the server ends."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
