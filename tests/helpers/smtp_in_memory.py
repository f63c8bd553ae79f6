"""A relay without a socket: every byte it says arrives when, and in the pieces, a test wants."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

from loop_clock import put_forward

#: The connection ends here instead of an answer.
DROP = b""
#: Nothing is answered any more.
SILENCE = b"silence"

_YES = {"MAIL": b"250 2.1.0 Ok", "RCPT": b"250 2.1.5 Ok", "DATA": b"354 End data with .",
        ".": b"250 2.0.0 Ok: queued as 4XyZ0123", "RSET": b"250 2.0.0 Ok"}  # fmt: skip


class Relay(asyncio.Transport):
    """Answers each command with the next of `answers[verb]`, else yes; `.` is the text's end.

    Whoever is answered 354 is heard as text until a line with a dot alone, recipients or none.
    A piece ends after each of `cuts` bytes; an answer's own line ends are `\\n` here.
    """

    def __init__(self, cuts: Iterable[int] = (), **answers: Iterable[bytes]) -> None:
        super().__init__()
        self.answers: defaultdict[str, deque[bytes]] = defaultdict(deque)
        for verb, said in answers.items():
            self.answers["." if verb == "text" else verb.upper()].extend(said)
        #: What came in one piece, and the texts a 2xx was said to.
        self.heard: list[bytes] = []
        self.taken: list[bytes] = []
        self._cuts = deque(cuts)
        self._since_cut = 0
        self._unread = b""
        self._text: bytes | None = None
        self._piece = b""
        self._protocol: Any = None
        self._closing = False
        self._mute = False
        #: How far the clock is put forward when it falls silent.
        self.silence_s = 0.0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def write(self, data: Any) -> None:
        assert not self._closing
        self.heard.append(bytes(data))
        self._unread += data
        while b"\r\n" in self._unread:
            line, _, self._unread = self._unread.partition(b"\r\n")
            self._hear(line)
        self._flush()

    def _say(self, answer: bytes) -> None:
        if answer in (DROP, SILENCE):
            self._flush()
            self._mute = True
            # Once whoever asks has begun to wait.
            asyncio.get_running_loop().call_soon(put_forward, self.silence_s)
            if answer == DROP:
                asyncio.get_running_loop().call_soon(self.close)
        if self._mute:
            return
        for byte in answer.replace(b"\n", b"\r\n") + b"\r\n":
            self._piece += bytes([byte])
            self._since_cut += 1
            if self._cuts and self._since_cut == self._cuts[0]:
                self._cuts.popleft()
                self._since_cut = 0
                self._flush()

    def _hear(self, line: bytes) -> None:
        if self._text is None:
            verb = line[:4].decode()
        elif line == b".":
            verb = "."
        else:
            self._text += line + b"\r\n"
            return
        answers = self.answers[verb]
        answer = answers.popleft() if answers else _YES[verb]
        if verb == ".":
            if answer.startswith(b"2") and self._text is not None:
                self.taken.append(self._text)
            self._text = None
        elif verb == "DATA" and answer.split(b"\n")[-1].startswith(b"354"):
            self._text = b""
        self._say(answer)

    def _flush(self) -> None:
        piece, self._piece = self._piece, b""
        if piece:
            asyncio.get_running_loop().call_soon(self._arrive, piece)

    def _arrive(self, piece: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(piece)
