"""Count words.

    python examples/word_count.py                                    on this machine
    yarnflow run -py examples/word_count.py                          in the session that is running
    yarnflow run -m yarn-cluster -p 2 -py examples/word_count.py --input hdfs:///books --output hdfs:///counts

Without --input a small text is counted; without --output the counts are printed here, in the client.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from yarnflow.common import Encoder, Types, WatermarkStrategy
from yarnflow.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSink, FileSource, OutputFileConfig, StreamFormat

TEXT = [
    "It was the best of times, it was the worst of times,",
    "it was the age of wisdom, it was the age of foolishness,",
    "it was the epoch of belief, it was the epoch of incredulity,",
    "it was the season of Light, it was the season of Darkness,",
    "it was the spring of hope, it was the winter of despair,",
    "we had everything before us, we had nothing before us,",
    "we were all going direct to Heaven, we were all going direct the other way",
]

WORD = re.compile(r"[a-z']+")


def split(line: str) -> Iterator[tuple[str, int]]:
    """Yield (word, 1) for each word of a line, in lower case."""
    for word in WORD.findall(line.lower()):
        yield word, 1


def add(left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    """Add two counts of one word."""
    return left[0], left[1] + right[1]


def count_words(lines: DataStream) -> DataStream:
    """(word, count) pairs, one for each word when the input has ended."""
    pairs = Types.TUPLE([Types.STRING(), Types.INT()])
    return (
        lines.flat_map(split, output_type=pairs)
        .key_by(lambda pair: pair[0], key_type=Types.STRING())
        .reduce(add)
        .name("count")
    )


def main() -> None:
    """Build and run the job."""
    parser = argparse.ArgumentParser(description="Count words.")
    parser.add_argument("--input", help="a text file or a folder of them, local or hdfs://")
    parser.add_argument("--output", help="a folder to write to, local or hdfs://")
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    if arguments.input:
        source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), arguments.input).build()
        lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
    else:
        lines = env.from_collection(TEXT, type_info=Types.STRING())

    counts = count_words(lines)
    if arguments.output:
        sink = (
            FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder())
            .with_output_file_config(
                OutputFileConfig.builder().with_part_prefix("counts").with_part_suffix(".txt").build()
            )
            .build()
        )
        counts.map(lambda pair: f"{pair[0]} {pair[1]}", output_type=Types.STRING()).sink_to(sink)
        env.execute("word count")
        return
    with counts.execute_and_collect("word count") as results:
        for word, count in sorted(results, key=lambda pair: (-pair[1], pair[0])):
            print(word, count)


if __name__ == "__main__":
    main()
