"""Lines of text files, as rows or as a column of strings.

A line belongs to the part of the file in which it starts. Parts are cut at newlines only, so text is read in large
blocks and split at once; carriage returns end lines too, as in Java's BufferedReader.readLine, which Flink uses.
"""

from __future__ import annotations

import codecs
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from yarnflow import fs
from yarnflow.errors import ConfigurationError, FileSystemError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.functions.connectors.compression import decompressed
from yarnflow.functions.connectors.file_source import StreamFormat
from yarnflow.functions.connectors.file_splits import COMPRESSED, FileSplit
from yarnflow.functions.expressions import VALUE_COLUMN
from yarnflow.functions.source import Availability, Split, SplitReader

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes read at once: at first, at least, and at most. In between, as many as hold the wanted number of lines.
_FIRST_READ = 128 * 1024
_MIN_READ = 2 * 1024
_MAX_READ = 4 * 1024 * 1024

#: Lines in a batch of rows and of columns, roughly. A flat_map makes some ten words of a line, which all live
#: until the batch is through: with 4,096 lines they leave the processor's caches, and word count takes 2.8 times
#: as long.
ROW_LINES = 256
COLUMN_LINES = 32768

#: Encodings in which a byte 0x0A may be something else than a newline although "\n" is that byte.
_STATEFUL = ("utf-7", "iso2022", "hz")


class TextLineFormat(StreamFormat):
    """Lines, as str or as an Arrow column "value" of strings."""

    splittable = True
    columnar = True

    def __init__(self, charset_name: str = "UTF-8") -> None:
        try:
            codec = codecs.lookup(charset_name)
        except LookupError as error:
            raise ConfigurationError(f"the charset {charset_name!r} of the text format is unknown") from error
        self.charset = codec.name
        #: Whether lines can be found before decoding.
        self._plain = "\n".encode(codec.name) == b"\n" and not codec.name.startswith(_STATEFUL)
        self.splittable = self._plain

    def open(self, split: FileSplit, emit_columns: bool) -> SplitReader:
        seekable = self._plain and not split.uri.endswith(COMPRESSED)
        charset = self.charset if self._plain else "utf-8"
        blocks = LineBlocks(split, None if self._plain else self.charset, seekable)
        if emit_columns:
            return _TextReader(blocks, split, seekable, _strings_of(charset), COLUMN_LINES)
        return _TextReader(blocks, split, seekable, _rows_of(charset), ROW_LINES)


class LineBlocks:
    """The bytes of a part of a file, in blocks of whole lines.

    Args:
        split: the part.
        transcode: the charset to turn into UTF-8 while reading, or None to read bytes as they are.
        seekable: whether `split.start` and `end` are offsets of the bytes that are read.

    Attributes:
        position: offset of the byte after the last block.
    """

    def __init__(self, split: FileSplit, transcode: str | None, seekable: bool) -> None:
        self._uri = split.uri
        self._end = split.end if seekable else None
        self._pieces: list[bytes] = []
        self._pending = 0
        self._ended = self._end is not None and split.start >= self._end
        self.position = split.start if seekable else 0
        system, path = fs.get(split.uri)
        # One byte earlier: a newline there says that a line starts at `start`.
        stream = system.open_read(path, max(self.position - 1, 0))
        if not seekable:
            stream = decompressed(stream, split.uri)
        if transcode is not None:
            stream = cast("BinaryIO", io.BufferedReader(_Transcoded(stream, transcode)))
        self._stream = stream
        if self.position > 0 and not self._ended:
            self._skip_to_line()

    def next(self, size: int) -> bytes | None:
        """The next block, of about `size` bytes; it ends with a newline unless the file ends without one. None
        at the end of the part."""
        while not self._ended:
            chunk = self._read(size)
            if not chunk:
                self._ended = True
                return self._block(b"") if self._pending else None
            begin = self.position + self._pending
            cut = chunk.rfind(b"\n") + 1
            if self._end is not None and begin + len(chunk) >= self._end:
                last = chunk.find(b"\n", max(0, self._end - 1 - begin))
                if last >= 0:
                    cut = last + 1
                    self._ended = True
            if cut:
                return self._block(chunk, cut)
            self._pieces.append(chunk)
            self._pending += len(chunk)
        return None

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _block(self, chunk: bytes, cut: int = 0) -> bytes:
        rest = chunk[cut:]
        block = b"".join([*self._pieces, chunk[:cut]])
        self._pieces, self._pending = ([rest], len(rest)) if rest else ([], 0)
        self.position += len(block)
        return block

    def _skip_to_line(self) -> None:
        begin = self.position - 1
        while chunk := self._read(_FIRST_READ):
            at = chunk.find(b"\n")
            if at >= 0:
                self.position = begin + at + 1
                if self._end is not None and self.position >= self._end:
                    self._ended = True
                    return
                # What was read too much is the first piece; the part may end within it.
                self._unread(chunk[at + 1 :])
                return
            begin += len(chunk)
        self.position = begin
        self._ended = True

    def _unread(self, data: bytes) -> None:
        self._stream.seek(-len(data), io.SEEK_CUR)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise FileSystemError(
                f"{self._uri} cannot be read: {error}. If it is compressed, check that its name ends as its "
                "content says (.gz, .bz2, .xz, .deflate) and that it is complete",
                self._uri,
            ) from error


class _TextReader(SplitReader):
    """Turns blocks into batches, and chooses the size of blocks by the length of the lines."""

    def __init__(
        self,
        blocks: LineBlocks,
        split: FileSplit,
        seekable: bool,
        convert: Callable[[bytes], Batch],
        lines: int,
    ) -> None:
        self._blocks = blocks
        self._split = split
        self._seekable = seekable
        self._convert = convert
        self._lines = lines
        self._size = _FIRST_READ
        self._skip = split.skip

    def poll(self) -> Batch | Availability:
        while True:
            block = self._blocks.next(self._size)
            if block is None:
                return Availability.END_OF_SPLIT
            batch = self._convert(block)
            count = len(batch)
            if count:
                self._size = min(_MAX_READ, max(_MIN_READ, len(block) * self._lines // count))
            if self._skip:
                skipped = min(self._skip, count)
                self._skip -= skipped
                batch = _tail(batch, skipped)
            if len(batch):
                self._advance(len(batch))
                return batch

    def split(self) -> Split:
        return self._split

    def close(self) -> None:
        self._blocks.close()

    def _advance(self, count: int) -> None:
        if self._seekable:
            self._split = replace(self._split, start=self._blocks.position)
        else:
            self._split = replace(self._split, skip=self._split.skip + count)


class _Transcoded(io.RawIOBase):
    """Text in another encoding, as UTF-8."""

    def __init__(self, below: BinaryIO, charset: str) -> None:
        self._below = below
        self._decoder = codecs.getincrementaldecoder(charset)("replace")
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._rest and not self._ended:
            data = self._below.read(_FIRST_READ)
            self._ended = not data
            self._rest = self._decoder.decode(data, self._ended).encode("utf-8", "replace")
        data, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()


def lines_of(block: bytes, charset: str) -> list[str]:
    """The lines of a block without their ends."""
    text = block.decode(charset, "replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # what follows the last newline is no line
    return lines


def _rows_of(charset: str) -> Callable[[bytes], Batch]:
    return lambda block: RowBatch(lines_of(block, charset))


def _strings_of(charset: str) -> Callable[[bytes], Batch]:
    # Heavy, and only columnar chains need them.
    import pyarrow

    import yarnflow.functions.columns  # noqa: F401 - sets Arrow's threads

    schema = pyarrow.schema([pyarrow.field(VALUE_COLUMN, pyarrow.string())])

    def convert(block: bytes) -> Batch:
        strings = arrow_lines(block, charset)
        return ColumnBatch(pyarrow.RecordBatch.from_arrays([strings], schema=schema), None, True)

    return convert


def arrow_lines(block: bytes, charset: str) -> pa.Array:
    """The lines of a block as an Arrow array, without an object per line."""
    import numpy
    import pyarrow

    if not block.isascii():
        # Arrow's strings are valid UTF-8.
        block = block.decode(charset, "replace").encode("utf-8", "replace")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    ends: Any = numpy.flatnonzero(numpy.frombuffer(block, numpy.uint8) == 10)
    # Without the newlines, each line starts as many bytes earlier as there are lines before it.
    offsets = numpy.zeros(len(ends) + 1, numpy.int32)
    offsets[1:] = ends - numpy.arange(len(ends))
    return pyarrow.StringArray.from_buffers(
        len(ends), pyarrow.py_buffer(offsets), pyarrow.py_buffer(block.replace(b"\n", b""))
    )


def _tail(batch: Batch, start: int) -> Batch:
    if isinstance(batch, ColumnBatch):
        return ColumnBatch(batch.columns.slice(start), None, batch.scalar)
    return RowBatch(batch.rows[start:])
