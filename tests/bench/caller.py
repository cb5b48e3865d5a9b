"""The agency's side: calls the API over HTTP as its systems and officers do. It is a client and never counted."""

import http.client
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.installation import DEMAND

SECONDS = 3600
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Caller:
    """Two officers with personal test keys: one enters lists, the other approves."""

    host: str
    port: int
    uploader: str = field(repr=False)
    approver: str = field(repr=False)

    def open_matter(self) -> str:
        """A new matter without people; its id."""
        new = {"external_id": str(uuid4()), "demand": asdict(DEMAND)}
        return str(self._post("/v1/matters", self.uploader, json.dumps(new).encode())["matter_id"])

    def send_list(self, matter_id: str, path: Path) -> dict[str, Any]:
        """One request with the whole list, streamed from a file; the answer."""
        target = f"/v1/matters/{matter_id}/people"
        with path.open("rb") as body:
            return self._post(target, self.uploader, body, media=NDJSON, length=path.stat().st_size)

    def approve(self, matter_id: str) -> dict[str, Any]:
        """The second officer's word."""
        return self._post(f"/v1/matters/{matter_id}/approve", self.approver, b"{}")

    def stop(self, matter_id: str) -> None:
        """Nothing of this matter is sent from now on."""
        self._post(f"/v1/matters/{matter_id}/stop", self.uploader, b"{}")

    def resume(self, matter_id: str) -> None:
        """One officer proposes to go on, the other confirms."""
        for officer in (self.uploader, self.approver):
            self._post(f"/v1/matters/{matter_id}/resume", officer, b"{}")

    def is_ready(self) -> bool:
        """Whether the web process serves."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _post(
        self, path: str, token: str, body: Any, *, media: str = "application/json", length: int | None = None
    ) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": media,
            "Content-Length": str(len(body) if length is None else length),
            "Idempotency-Key": str(uuid4()),
        }
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{answer.status} from {path.rpartition('/')[2]}: {content.decode()[:2000]}")
        parsed = json.loads(content)
        assert isinstance(parsed, dict)
        return parsed
