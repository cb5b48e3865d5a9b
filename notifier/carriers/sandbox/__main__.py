"""Start the sandbox as a process: `NOTIFIER_SANDBOX='{"host", "port", "options": {...}}' python -m ...sandbox`.

The options come by the environment, because a command line can be read by every user of the machine.
"""

import json
import os

from notifier.carriers.sandbox.options import Options
from notifier.carriers.sandbox.server import main

if __name__ == "__main__":
    given = json.loads(os.environ["NOTIFIER_SANDBOX"])
    lists = {name: tuple(value) for name, value in given["options"].items() if isinstance(value, list)}
    main(given["host"], given["port"], Options(**{**given["options"], **lists}))
