"""docs/architecture.md knows every use case, and no other."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")


def test_every_use_case_is_on_the_map() -> None:
    _, _, rest = PAGE.partition("| room of `usecases/` | modules |")
    rows, _, _ = rest.partition("\n\n")
    modules = {path.stem for path in (CHECKOUT / "notifier" / "usecases").glob("[a-z]*.py")}
    assert set(re.findall(r"`(\w+)`", rows)) == modules
