"""The end of what a program wrote: who writes without end takes no memory of bwbuild's."""

from __future__ import annotations


class Tail:
    """Remembers the last ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """That was written."""
        self._data += data
        del self._data[: -self._size]

    @property
    def data(self) -> bytes:
        """What is remembered."""
        return bytes(self._data)

    @property
    def text(self) -> str:
        """The same decoded; a line may lack its beginning."""
        return self._data.decode("utf-8", "replace")

    def lines(self, number: int) -> tuple[str, ...]:
        """The last ``number`` lines."""
        return tuple(self.text.splitlines()[-number:])
