"""What the API publishes, kept in files so that a change of it is seen in review.

`python -m notifier.api.snapshot --check` fails when a file differs from the code; `--write` writes the files anew.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from notifier.api.app import document, new_app
from notifier.api.problems import PROBLEMS
from notifier.service import CHECKOUT, CONFIG_DIR, TEMPLATE_DIR


def published() -> dict[Path, str]:
    """Each file with what it should hold."""
    return {CONFIG_DIR / "openapi.json": _openapi(), CHECKOUT / "docs" / "api-problems.md": _problems()}


def main(arguments: Sequence[str]) -> int:
    """Check or write; returns the exit status."""
    if list(arguments) == ["--write"]:
        for path, text in published().items():
            path.write_text(text, encoding="utf-8")
        return 0
    if list(arguments) != ["--check"]:
        sys.stderr.write("use --check or --write\n")
        return 2
    stale = [path for path, text in published().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stderr.write(f"{path.relative_to(CHECKOUT)} is stale: python -m notifier.api.snapshot --write\n")
    return 1 if stale else 0


def _openapi() -> str:
    return json.dumps(document(new_app(str(TEMPLATE_DIR))), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _problems() -> str:
    rows = [f"| `{code}` | {kind.status} | {kind.title} | {kind.help} |" for code, kind in PROBLEMS.items()]
    return "\n".join(
        [
            "# Problems of the API",
            "",
            "Every error is a problem document (RFC 9457). `code` never changes its meaning; `type` is the address of",
            "this text for one code, served at `/problems/<code>`. Made from `notifier/api/problems.py` by",
            "`python -m notifier.api.snapshot --write`.",
            "",
            "| code | HTTP | what it is | what to do |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
