"""Aggregates of groups of rows, and of such aggregates again: what windows on columns keep.

A `Partial` holds one row per key, with one or two numbers per aggregate: enough to be merged with another Partial.
Grouping gives each (pane, key) a small number: the key's place among the keys of the batch, or the key itself less
the smallest one where keys are integers in a narrow range. Then counting is `numpy.bincount`, without hashing.

    count           number of rows
    count(x)        number of values
    sum(x), mean(x) sum, number of values
    min(x), max(x)  extremum, number of values
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import Aggregate
from yarnflow.runtime.operators.columns.expressions import evaluate

#: Numbers of groups that arrays are made for, as a multiple of the number of rows, and at least.
_SPREAD = 4
_LEAST = 1 << 16

#: Doubles hold integers up to here exactly.
_EXACT = 1 << 53

_LIMIT = 1 << 63

Numbers = Any  # a numpy array


@dataclass(frozen=True)
class Measure:
    """One aggregate, made ready for the types of a stream.

    Attributes:
        name: of the result.
        aggregate: what is computed.
        argument: type of its values; None without an argument.
        result: type of the result.
    """

    name: str
    aggregate: Aggregate
    argument: pa.DataType | None
    result: pa.DataType

    @property
    def width(self) -> int:
        """How many arrays a Partial keeps for it."""
        if self.aggregate.function == "count":
            return 1
        return 0 if self.aggregate.function.startswith("window_") else 2

    @property
    def dtypes(self) -> list[Any]:
        """Types of these arrays."""
        if self.width < 2:
            return [np.dtype(np.int64)] * self.width
        kind = _integers(self.result) if pa.types.is_temporal(self.result) else self.result
        return [np.dtype(kind.to_pandas_dtype()), np.dtype(np.int64)]


@dataclass
class Partial:
    """Aggregates per key.

    Attributes:
        keys: a row each, no key twice.
        arrays: those of all measures, in their order.
    """

    keys: pa.Array
    arrays: list[Numbers]

    def __len__(self) -> int:
        return len(self.keys)


class Groups:
    """Rows by pane and key.

    Args:
        keys: one per row; not nested.
        panes: number of the pane of each row, from 0; None: all the same.
        count: number of panes.

    Attributes:
        codes: group of each row.
        size: length of arrays by group; many of them may have no rows.
        per_pane: groups per pane.
    """

    def __init__(self, keys: pa.Array, panes: Numbers, count: int) -> None:
        self._smallest: int | None = None
        self._distinct = keys
        rows = len(keys)
        limit = max(_SPREAD * rows, _LEAST)
        codes: Any = None
        if pa.types.is_integer(keys.type) and not keys.null_count:
            values = keys.to_numpy()
            smallest, largest = int(values.min()), int(values.max())
            if (largest - smallest + 1) * count <= limit:
                self._smallest = smallest
                codes = np.subtract(values, smallest, dtype=np.int64, casting="unsafe")
                self.per_pane = largest - smallest + 1
        if codes is None:
            if pa.types.is_floating(keys.type):
                keys = pc.add(keys, pa.scalar(0, keys.type))  # -0.0 becomes 0.0, which is the same key
            encoded = keys.dictionary_encode(null_encoding="encode")
            self._distinct = encoded.dictionary
            codes = encoded.indices.to_numpy().astype(np.int64, copy=False)
            self.per_pane = len(encoded.dictionary)
        if panes is not None:
            codes = codes + panes * self.per_pane
        self.size = self.per_pane * count
        self._groups: Any = None
        if self.size > limit:
            # Many panes with different keys in each.
            self._groups, codes = np.unique(codes, return_inverse=True)
            self.size = len(self._groups)
        self.codes = codes
        self.counts = np.bincount(codes, minlength=self.size)
        self._present = np.flatnonzero(self.counts) if self._groups is None else np.arange(self.size)

    def present(self, by_group: Numbers) -> Numbers:
        """Of an array by group, the groups that have rows, ordered by pane."""
        return by_group if len(self._present) == self.size else by_group[self._present]

    def keys_and_ends(self, count: int) -> tuple[pa.Array, Numbers]:
        """The key of each group that has rows, and where each of `count` panes ends among them."""
        groups = self._present if self._groups is None else self._groups
        places = groups % self.per_pane
        ends = np.searchsorted(groups, np.arange(1, count + 1) * self.per_pane)
        if self._smallest is None:
            return self._distinct.take(pa.array(places)), ends
        return pa.array(places + self._smallest).cast(self._distinct.type), ends

    def sums(self, values: Numbers, bound: int) -> Numbers:
        """Sum per group; `bound` is one of the sums of absolute integer values."""
        if values.dtype.kind == "f":
            return np.bincount(self.codes, weights=values, minlength=self.size)
        if bound < _EXACT:
            return np.bincount(self.codes, weights=values, minlength=self.size).astype(np.int64)
        result = np.zeros(self.size, np.int64)
        np.add.at(result, self.codes, values)
        return result

    def extremes(self, values: Numbers, smallest: bool) -> Numbers:
        """Least or greatest value per group."""
        result = np.full(self.size, neutral(values.dtype, smallest))
        (np.minimum if smallest else np.maximum).at(result, self.codes, values)
        return result


def neutral(dtype: Any, smallest: bool) -> Any:
    """What changes no minimum (or maximum)."""
    if dtype.kind == "f":
        return np.array(np.inf if smallest else -np.inf, dtype)
    limits = np.iinfo(dtype)
    return np.array(limits.max if smallest else limits.min, dtype)


def prepare(aggregates: Sequence[tuple[str, Aggregate]], columns: pa.RecordBatch) -> list[Measure]:
    """Make the aggregates ready for columns of these types. Raises ProgramError for types they cannot be of."""
    measures = []
    for name, aggregate in aggregates:
        argument = None if aggregate.argument is None else evaluate(aggregate.argument, columns).type
        measures.append(measured(name, aggregate, argument))
    return measures


def measured(name: str, aggregate: Aggregate, argument: pa.DataType | None) -> Measure:
    """Make an aggregate ready for values of a type. Raises ProgramError for a type it cannot be of."""
    return Measure(name, aggregate, argument, _result_type(name, aggregate, argument))


def _result_type(name: str, aggregate: Aggregate, argument: pa.DataType | None) -> pa.DataType:
    function = aggregate.function
    if argument is None or function == "count":
        return pa.int64()
    integer = pa.types.is_integer(argument) or pa.types.is_boolean(argument)
    if function in ("sum", "mean") and (integer or pa.types.is_floating(argument)):
        return pa.int64() if function == "sum" and integer else pa.float64()
    number = pa.types.is_integer(argument) or pa.types.is_floating(argument) or pa.types.is_temporal(argument)
    if function in ("min", "max") and number and argument != pa.float16():
        return argument
    raise ProgramError(
        f"aggregate(): {name}={aggregate!r} is of a column of {argument}, which has no {function} on columns: "
        "cast() it, or use an AggregateFunction"
    )


def aggregate_rows(
    measures: Sequence[Measure], columns: pa.RecordBatch, keys: pa.Array, panes: Numbers, count: int
) -> list[Partial]:
    """Aggregate a batch: one Partial per pane.

    Args:
        measures: what to compute.
        columns: the batch.
        keys: of its rows.
        panes: number of the pane of each row, from 0.
        count: number of panes.

    Raises ProgramError when a sum leaves 64 bits.
    """
    groups = Groups(keys, panes, count)
    arrays: list[Numbers] = []
    for measure in measures:
        if measure.aggregate.argument is None:
            if measure.width:
                arrays.append(groups.present(groups.counts))
            continue
        column = evaluate(measure.aggregate.argument, columns)
        if column.type != measure.argument:
            column = _cast(measure, column)
        if column.null_count:
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            counts = np.bincount(groups.codes[valid], minlength=groups.size)
        else:
            valid, counts = None, groups.counts
        if measure.aggregate.function != "count":
            values = _as_numbers(measure, column, valid)
            if measure.aggregate.function in ("min", "max"):
                arrays.append(groups.present(groups.extremes(values, measure.aggregate.function == "min")))
            else:
                arrays.append(groups.present(_sums(measure, groups, values)))
        arrays.append(groups.present(counts))
    distinct, ends = groups.keys_and_ends(count)
    partials = []
    start = 0
    for end in ends.tolist():
        partials.append(Partial(distinct[start:end], [array[start:end] for array in arrays]))
        start = end
    return partials


def merge(measures: Sequence[Measure], partials: Sequence[Partial]) -> Partial:
    """One Partial for several."""
    if len(partials) == 1:
        return partials[0]
    groups = Groups(pa.concat_arrays([partial.keys for partial in partials]), None, 1)
    arrays: list[Numbers] = []
    at = 0
    for measure in measures:
        function = measure.aggregate.function
        for place in range(measure.width):
            parts = [partial.arrays[at] for partial in partials]
            values = np.concatenate(parts)
            if place == 0 and function in ("min", "max"):
                merged = groups.extremes(values, function == "min")
            else:
                possible = sum(map(_largest, parts))
                if possible >= _LIMIT:
                    raise _too_large(measure)
                merged = groups.sums(values, possible)
            arrays.append(groups.present(merged))
            at += 1
    return Partial(groups.keys_and_ends(1)[0], arrays)


def results(
    measures: Sequence[Measure], partials: Sequence[Partial], starts: Sequence[int], size: int
) -> list[pa.Array]:
    """The columns of the results of several windows, in their order: the keys, then the measures.

    Args:
        partials: one per window.
        starts: of the windows.
        size: of the windows, ms.
    """
    lengths = [len(partial) for partial in partials]
    columns = [pa.concat_arrays([partial.keys for partial in partials])]
    at = 0
    for measure in measures:
        function = measure.aggregate.function
        if function.startswith("window_"):
            bounds = np.array(starts, np.int64) + (size if function == "window_end" else 0)
            columns.append(pa.array(np.repeat(bounds, lengths)))
            continue
        kept = [np.concatenate([p.arrays[at + place] for p in partials]) for place in range(measure.width)]
        at += measure.width
        columns.append(_result(measure, kept))
    return columns


def _result(measure: Measure, kept: list[Numbers]) -> pa.Array:
    if measure.width == 1:
        return pa.array(kept[0])
    values, counts = kept
    missing = counts == 0
    if measure.aggregate.function == "mean":
        values = values / np.maximum(counts, 1)
    array = pa.array(values, mask=missing if missing.any() else None)
    return array.view(measure.result) if pa.types.is_temporal(measure.result) else array


def _cast(measure: Measure, column: pa.Array) -> pa.Array:
    try:
        return column.cast(measure.argument)
    except pa.ArrowException as error:
        raise ProgramError(
            f"aggregate(): the values of {measure.name}={measure.aggregate!r} were of type {measure.argument} "
            f"before, and now they are {column.type}: {error}"
        ) from error


def _integers(kind: pa.DataType) -> pa.DataType:
    """As what a date or time is kept."""
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _as_numbers(measure: Measure, column: pa.Array, valid: Numbers) -> Numbers:
    """Values as 64-bit numbers, for extrema as wide as they are, with what changes nothing for those missing."""
    function = measure.aggregate.function
    kind = column.type
    if function in ("min", "max"):
        if pa.types.is_temporal(kind):
            column = column.view(_integers(kind))
        missing: Any = neutral(measure.dtypes[0], function == "min").item()
    else:
        integer = measure.result == pa.int64()
        try:
            column = column.cast(pa.int64() if integer else pa.float64(), safe=integer)
        except pa.ArrowInvalid as error:
            raise _too_large(measure) from error
        missing = 0
    if valid is not None:
        column = column.fill_null(missing)
    return column.to_numpy(zero_copy_only=False)


def _sums(measure: Measure, groups: Groups, values: Numbers) -> Numbers:
    possible = _largest(values) * len(values)
    if possible >= _LIMIT:
        absolute = np.bincount(groups.codes, weights=np.abs(values.astype(np.float64)), minlength=groups.size)
        if absolute.max() * (1 + 1e-9) >= _LIMIT:
            raise _too_large(measure)
    return groups.sums(values, possible)


def _largest(values: Numbers) -> int:
    """The greatest absolute value of integers; 0 for doubles, which have no limit."""
    if values.dtype.kind == "f" or not len(values):
        return 0
    return max(abs(int(values.max())), abs(int(values.min())))


def _too_large(measure: Measure) -> ProgramError:
    return ProgramError(
        f"aggregate(): {measure.name}={measure.aggregate!r} may leave 64 bits: the values are too large to be "
        "summed up as integers; cast('double') them, or use an AggregateFunction"
    )

