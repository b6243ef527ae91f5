"""Bytes become text at the edges only, and no character is ever split."""

from __future__ import annotations

import codecs


def whole_characters(data: bytes) -> int:
    """Return how many bytes of *data* come before a UTF-8 character whose end is missing."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        # 0xF5 and more begin nothing, and neither does what is not followed as it should be: the decoder replaces it.
        needs = 2 if 0xC2 <= byte < 0xE0 else 3 if 0xE0 <= byte < 0xF0 else 4 if 0xF0 <= byte < 0xF5 else 1
        return len(data) - back if needs > back else len(data)
    return len(data)


class Utf8Decoder:
    """Decodes UTF-8 as it comes; bytes that are none become U+FFFD."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, last: bool = False) -> str:
        """Return the characters that are complete now.

        :param last: nothing follows: half a character is none.
        """
        return self._decoder.decode(data, last)

    @property
    def state(self) -> tuple[bytes, int]:
        """The bytes of a character that is not complete yet, for :class:`codecs.IncrementalDecoder`."""
        return self._decoder.getstate()

    @state.setter
    def state(self, state: tuple[bytes, int]) -> None:
        self._decoder.setstate(state)

    @property
    def waiting(self) -> int:
        """Bytes of a character that is not complete yet."""
        return len(self.state[0])
