"""Start the sandbox as a process: `NOTIFIER_SANDBOX='{"host", "port", "options": {...}}' python -m ...sandbox`.

With "ca_file" it speaks TLS too, on a free port, and puts its certificate there. The options come by the environment,
because a command line can be read by every user of the machine.
"""

import json
import os
from pathlib import Path

from notifier.carriers.sandbox.certificate import Tls
from notifier.carriers.sandbox.options import Options
from notifier.carriers.sandbox.server import main

if __name__ == "__main__":
    given = json.loads(os.environ["NOTIFIER_SANDBOX"])
    lists = {name: tuple(value) for name, value in given["options"].items() if isinstance(value, list)}
    tls = Tls(0, Path(given["ca_file"])) if "ca_file" in given else None
    main(given["host"], given["port"], Options(**{**given["options"], **lists}), tls=tls)
