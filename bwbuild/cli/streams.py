"""Where the output of a command in a sandbox goes."""

from __future__ import annotations

import sys
from typing import Any


def streams() -> Any:
    """Where output of a command goes: escaped where that is a terminal."""
    from bwbuild.build.record.escaping import Escaper  # noqa: PLC0415
    from bwbuild.build.session import Streams  # noqa: PLC0415

    def writer(stream: Any) -> Any:
        if not stream.isatty():
            return stream.buffer
        escaper = Escaper()

        class Escaped:
            def write(self, data: bytes) -> None:
                stream.buffer.write(escaper.feed(data))

            def flush(self) -> None:
                stream.buffer.flush()

        return Escaped()

    return Streams(writer(sys.stdout), writer(sys.stderr))
