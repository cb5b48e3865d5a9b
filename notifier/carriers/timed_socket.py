"""A connection that ends in time, however the other side drips. A socket's own time-out bounds one step, not all."""

import io
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer  # they exist for the type checker alone


class TimedSocket:
    """As much of a socket as `http.client` uses for one request; after `seconds` each step is a TimeoutError."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._reader = _Reader(sock, time.monotonic() + seconds)
        self._is_read = False

    def sendall(self, data: "ReadableBuffer") -> None:
        """Send it whole."""
        self._reader.timed().sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The answer; closing it closes the connection."""
        self._is_read = True
        return io.BufferedReader(self._reader)

    def close(self) -> None:
        """Close the connection, unless its answer is still read."""
        if not self._is_read:
            self._reader.close()


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock, self._end = sock, end

    def timed(self) -> socket.socket:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        return self.timed().recv_into(buffer)

    def close(self) -> None:
        self._sock.close()
        super().close()
