"""The sandbox's own word on what it took and what it posted: append-only, one JSON line each."""

import json
import time
from collections import Counter


class Record:
    """Lines and their counts. Kept in memory: a run of a million messages takes about 600 MB."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, carrier: str, **facts: object) -> None:
        """Append one line. Kinds: `taken`, `refused`, `not_taken`, `receipt`."""
        line = {"n": len(self._lines), "at": round(time.time(), 3), "kind": kind, "carrier": carrier, **facts}
        self._lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode())
        self.counts[f"{carrier}.{kind}"] += 1

    def read(self, after: int = 0) -> bytes:
        """JSON lines from number `after` on."""
        return b"".join(line + b"\n" for line in self._lines[after:])

    def summary(self) -> dict[str, object]:
        """Counts, and the CPU this process has used, to be subtracted from a benchmark's."""
        return {"lines": len(self._lines), "counts": dict(self.counts), "cpu_seconds": time.process_time()}
