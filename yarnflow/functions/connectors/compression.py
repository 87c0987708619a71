"""Compressed files as streams of what they hold, told by their name's ending."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, cast

_CHUNK = 256 * 1024


def decompressed(stream: BinaryIO, name: str) -> BinaryIO:
    """The stream itself, or one that decompresses it: .gz, .gzip, .bz2, .xz, .deflate, as in Flink.

    Closing the result closes `stream`.
    """
    # Each library is imported by need.
    opened: object = stream
    if name.endswith((".gz", ".gzip")):
        import gzip

        opened = gzip.GzipFile(fileobj=stream)
    elif name.endswith(".bz2"):
        import bz2

        opened = bz2.BZ2File(stream)
    elif name.endswith(".xz"):
        import lzma

        opened = lzma.LZMAFile(stream)  # noqa: SIM115 - closed by what is returned
    elif name.endswith(".deflate"):
        return cast("BinaryIO", io.BufferedReader(_Deflate(stream), _CHUNK))
    if opened is stream:
        return stream
    return cast("BinaryIO", io.BufferedReader(_Owning(opened, stream), _CHUNK))


class _Owning(io.RawIOBase):
    """A decompressing file and the file below it, closed together."""

    def __init__(self, opened: object, below: BinaryIO) -> None:
        self._opened = cast("BinaryIO", opened)
        self._below = below

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._opened.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._opened.close()
            self._below.close()
        super().close()


class _Deflate(io.RawIOBase):
    """A zlib stream (what Java's InflaterInputStream reads)."""

    def __init__(self, below: BinaryIO) -> None:
        self._below = below
        self._inflater = zlib.decompressobj()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while True:
            data = self._inflater.decompress(self._rest, len(view))
            self._rest = self._inflater.unconsumed_tail
            if data or self._inflater.eof:
                view[: len(data)] = data
                return len(data)
            if not self._rest:
                self._rest = self._below.read(_CHUNK)
                if not self._rest:
                    raise EOFError("the compressed file ends before its end marker")

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()
