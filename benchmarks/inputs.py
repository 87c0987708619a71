"""Generated inputs: the same bytes on every machine, made once.

`text_<megabytes>.txt`: about 10 words a line from 50,000 invented ones, by Zipf's law with exponent 1.1.
`rows_<millions>.parquet`: shop (200 strings), amount (int64), discount (double).
Beside each a .json with its numbers of words or rows.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path


def text(folder: Path, megabytes: int) -> str:
    """Make (or find) a text of that size; returns its file name."""
    path = folder / f"text_{megabytes}.txt"
    facts = path.with_suffix(".json")
    if not facts.exists():
        rng = random.Random(20130101)
        letters = "abcdefghijklmnopqrstuvwxyz"
        vocabulary = sorted({"".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(60_000)})[:50_000]
        rng.shuffle(vocabulary)
        weights = list(itertools.accumulate(1.0 / (rank + 1) ** 1.1 for rank in range(len(vocabulary))))
        size = words = 0
        with path.open("w") as out:
            while size < megabytes * 1_000_000:
                line = rng.choices(vocabulary, cum_weights=weights, k=rng.randint(7, 13))
                size += out.write(" ".join(line) + "\n")
                words += len(line)
        facts.write_text(json.dumps({"bytes": size, "words": words}))
    return path.name


def parquet(folder: Path, millions: int) -> str:
    """Make (or find) a Parquet file of that many million rows; returns its file name."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / f"rows_{millions}.parquet"
    facts = path.with_suffix(".json")
    if not facts.exists():
        rng = np.random.default_rng(20130101)
        shops = np.array([f"shop-{number:03}" for number in range(200)])
        schema = pa.schema([("shop", pa.string()), ("amount", pa.int64()), ("discount", pa.float64())])
        with pq.ParquetWriter(path, schema) as writer:
            for _ in range(millions):
                count = 1_000_000
                writer.write_table(
                    pa.table(
                        [
                            pa.array(shops[rng.integers(0, 200, count)]),
                            pa.array(rng.integers(0, 100, count)),
                            pa.array(rng.random(count)),
                        ],
                        schema=schema,
                    )
                )
        facts.write_text(json.dumps({"rows": millions * 1_000_000}))
    return path.name
