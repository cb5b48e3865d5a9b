"""config/openapi.json holds what the API publishes, so that a change of it is seen in review.

`python -m notifier.api.snapshot --check` fails when the two differ; `--write` writes the file anew.
"""

import json
import sys
from collections.abc import Sequence

from notifier.api.app import document, new_app
from notifier.service import CONFIG_DIR, TEMPLATE_DIR

SNAPSHOT = CONFIG_DIR / "openapi.json"


def published() -> str:
    """The document as the file holds it."""
    return json.dumps(document(new_app(str(TEMPLATE_DIR))), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Check or write; returns the exit status."""
    if list(arguments) == ["--write"]:
        SNAPSHOT.write_text(published(), encoding="utf-8")
        return 0
    if list(arguments) != ["--check"]:
        sys.stderr.write("use --check or --write\n")
        return 2
    if not SNAPSHOT.exists() or SNAPSHOT.read_text(encoding="utf-8") != published():
        sys.stderr.write("config/openapi.json is not what the API publishes: python -m notifier.api.snapshot --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
