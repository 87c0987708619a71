"""Turns a tree of map-like operators into one Python function that loops over a batch.

    map -> filter -> flat_map        becomes       def run(rows):
                                                       return [
                                                           v2
                                                           for r in rows
                                                           for v0 in (f0(r),)
                                                           if f1(v0)
                                                           for i2 in (f2(v0),) if i2 is not None for v2 in i2
                                                       ]

A linear chain without event times is a list comprehension; a tree with several outputs, or a batch with
event times, becomes nested loops with one `append` per output. Every operator has a generated line of
its own, so that a traceback names the failing operator and its record (`operator_at`) at no cost while
all goes well. The two forms (plain, timed) are compiled when first needed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import FrameType
from typing import Any

from yarnflow.functions.timers import NO_TIMESTAMP
from yarnflow.runtime.operators.isolation import own

#: Loops that CPython allows inside each other are limited to 20 (CO_MAXBLOCKS); deeper chains are cut.
MAX_DEPTH = 16

#: File name of generated code in tracebacks.
GENERATED = "<yarnflow chain>"
_LINES = "__yarnflow_lines__"


class Kind(Enum):
    """How a step calls its function."""

    MAP = "map"
    FLAT_MAP = "flat_map"
    FILTER = "filter"
    PROCESS = "process"


@dataclass
class Step:
    """One fused operator.

    Attributes:
        operator: index in the OperatorChain; what errors are attributed to.
        kind: how `function` is called.
        function: f(record), or f(record, context) for PROCESS.
        context: for PROCESS: the reused context; its `element_timestamp` is set per record.
        children: consumers of the main output: further steps, or indices of outputs.
        tagged: consumers of side outputs, as (tag, consumer).
    """

    operator: int
    kind: Kind
    function: Callable[..., Any]
    context: Any = None
    children: list[Step | int] = field(default_factory=list)
    tagged: list[tuple[Any, Step | int]] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """An output that is partitioned by key inside the generated loop.

    Attributes:
        operator: index that errors of the key selector are attributed to.
        key: key selector.
        appends: key -> append of the buffer of the key's channel.
        timed_appends: key -> (append of rows, append of timestamps).
    """

    operator: int
    key: Callable[[Any], Any]
    appends: Any
    timed_appends: Any


@dataclass(frozen=True)
class Position:
    """Where generated code stood when it raised.

    Attributes:
        operator: index in the OperatorChain.
        in_key: the key selector of an exchange behind the operator raised, not the operator itself.
        record: what was being processed.
    """

    operator: int
    in_key: bool
    record: Any


def operator_at(frame: FrameType, line: int) -> Position | None:
    """Which operator a frame of a traceback belongs to; None when the frame is not of generated code."""
    lines = frame.f_globals.get(_LINES)
    if lines is None or frame.f_code.co_filename != GENERATED:
        return None
    found = lines.get(line)
    if found is None:
        return None
    operator, in_key, variable = found
    return Position(operator, in_key, frame.f_locals.get(variable))


class CompiledTree:
    """A compiled tree: `plain(rows)` and `timed(rows, timestamps)`.

    `plain` returns one list per output, `timed` a pair of lists (rows, timestamps) per output; an output
    with a route gets nothing returned (None).
    """

    def __init__(
        self, root: Step, outputs: int, routes: dict[int, Route] | None = None, output_tag: type | None = None
    ) -> None:
        self._root = root
        self._outputs = outputs
        self._routes = routes or {}
        self._output_tag = output_tag
        self.plain: Callable[[list[Any]], Sequence[Any]] = self._first_plain
        self.timed: Callable[[list[Any], list[int]], Sequence[Any]] = self._first_timed

    def _first_plain(self, rows: list[Any]) -> Sequence[Any]:
        self.plain = self._compile(timed=False)
        return self.plain(rows)

    def _first_timed(self, rows: list[Any], timestamps: list[int]) -> Sequence[Any]:
        self.timed = self._compile(timed=True)
        return self.timed(rows, timestamps)

    def _compile(self, timed: bool) -> Callable[..., Sequence[Any]]:
        writer = _Writer(self._root, self._outputs, self._routes, self._output_tag, timed)
        namespace: dict[str, Any] = {_LINES: writer.lines, **writer.names}
        # The source is made of our own templates and numbered names; user objects are bound by name only.
        exec(compile(writer.source(), GENERATED, "exec"), namespace)  # noqa: S102
        function: Callable[..., Sequence[Any]] = namespace["run"]
        return function


class _Writer:
    """Generates the source of one form of a tree."""

    def __init__(
        self, root: Step, outputs: int, routes: dict[int, Route], output_tag: type | None, timed: bool
    ) -> None:
        self._outputs = outputs
        self._routes = routes
        self._timed = timed
        self._text: list[str] = []
        self._counter = 0
        #: generated line -> (operator index, is it a key selector, variable of the record)
        self.lines: dict[int, tuple[int, bool, str]] = {}
        #: objects that the generated code refers to
        self.names: dict[str, Any] = {"OutputTag": output_tag or _NoTag}
        if not timed:
            self._forget_times(root)
        linear = None if timed or routes else _linear(root)
        if linear is not None:
            self._comprehension(linear)
        else:
            self._loops(root)

    def source(self) -> str:
        """The module text."""
        return "\n".join([f"def run({self._parameters()}):", *self._text]) + "\n"

    def _parameters(self) -> str:
        bound = "".join(f", {name}={name}" for name in self.names)
        return ("rows, times" if self._timed else "rows") + bound

    def _line(self, indent: int, text: str, at: tuple[int, bool, str] | None = None) -> None:
        self._text.append("    " * indent + text)
        if at is not None:
            self.lines[len(self._text) + 1] = at  # line 1 is the def

    def _bind(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{self._fresh()}"
        self.names[name] = value
        return name

    def _fresh(self) -> int:
        self._counter += 1
        return self._counter

    def _call(self, step: Step, record: str) -> str:
        function = self._bind("f", step.function)
        if step.kind is Kind.PROCESS:
            return f"{function}({record}, {self._context(step)})"
        return f"{function}({record})"

    def _context(self, step: Step) -> str:
        name = f"c{step.operator}"
        self.names[name] = step.context
        return name

    def _forget_times(self, root: Step) -> None:
        """Untimed rows after timed ones: contexts must not show the last time."""
        for step in _walk(root):
            if step.kind is Kind.PROCESS:
                self._line(1, f"{self._context(step)}.element_timestamp = {NO_TIMESTAMP}")

    # -- one output, no times: a comprehension ---------------------------------------------------------------

    def _comprehension(self, steps: list[Step]) -> None:
        body: list[tuple[str, tuple[int, bool, str]]] = []
        record = "r"
        for step in steps:
            at = (step.operator, False, record)
            call = self._call(step, record)
            if step.kind is Kind.FILTER:
                body.append((f"if {call}", at))
                continue
            value = f"v{self._fresh()}"
            if step.kind is Kind.MAP:
                # CPython compiles `for x in (y,)` in a comprehension to an assignment (since 3.9).
                body.append((f"for {value} in ({call},)", at))
            else:
                items = f"i{self._fresh()}"
                body.append((f"for {items} in ({call},) if {items} is not None for {value} in {items}", at))
                if step.kind is Kind.PROCESS:
                    body.append((f"if not ({_is_tagged(value)})", at))
            record = value
        self._line(1, "return ([")
        self._line(2, record)
        self._line(2, "for r in rows")
        for text, at in body:
            self._line(2, text, at)
        self._line(1, "],)")

    # -- several outputs or times: nested loops -------------------------------------------------------------

    def _loops(self, root: Step) -> None:
        for output in range(self._outputs):
            route = self._routes.get(output)
            if route is not None:
                self.names[f"key{output}"] = route.key
                self.names[f"route{output}"] = route.timed_appends if self._timed else route.appends
                continue
            self._line(1, f"o{output} = []; a{output} = o{output}.append")
            if self._timed:
                self._line(1, f"t{output} = []; b{output} = t{output}.append")
        self._line(1, "for r, time in zip(rows, times):" if self._timed else "for r in rows:")
        self._step(root, "r", 2)
        parts = []
        for output in range(self._outputs):
            if output in self._routes:
                parts.append("None")
            else:
                parts.append(f"(o{output}, t{output})" if self._timed else f"o{output}")
        self._line(1, f"return ({', '.join(parts)},)" if parts else "return ()")

    def _consume(self, consumer: Step | int, record: str, indent: int) -> None:
        if isinstance(consumer, Step):
            self._step(consumer, record, indent)
            return
        route = self._routes.get(consumer)
        if route is not None:
            at = (route.operator, True, record)
            field = _subscript_of(route.key)
            key = f"key{consumer}({record})" if field is None else f"{record}[{field!r}]"
            if self._timed:
                self._line(indent, f"a, b = route{consumer}[{key}]; a({record}); b(time)", at)
            else:
                self._line(indent, f"route{consumer}[{key}]({record})", at)
            return
        self._line(indent, f"a{consumer}({record})" + (f"; b{consumer}(time)" if self._timed else ""))

    def _step(self, step: Step, record: str, indent: int) -> None:
        at = (step.operator, False, record)
        if step.kind is Kind.PROCESS and self._timed:
            self._line(indent, f"{self._context(step)}.element_timestamp = time")
        call = self._call(step, record)
        if step.kind is Kind.FILTER:
            self._line(indent, f"if {call}:", at)
            self._all(step.children, record, indent + 1, step.operator)
            return
        value = f"v{self._fresh()}"
        if step.kind is Kind.MAP:
            self._line(indent, f"{value} = {call}", at)
            self._all(step.children, value, indent, step.operator)
            return
        items = f"i{self._fresh()}"
        self._line(indent, f"{items} = {call}", at)
        self._line(indent, f"for {value} in () if {items} is None else {items}:", at)
        if step.kind is Kind.FLAT_MAP:
            self._all(step.children, value, indent + 1, step.operator)
            return
        self._line(indent + 1, f"if {_is_tagged(value)}:", at)
        if step.tagged:
            tag_of = f"g{self._fresh()}"
            self._line(indent + 2, f"{tag_of}, {value} = {value}", at)
            for tag, consumers in _by_tag(step.tagged):
                self._line(indent + 2, f"if {tag_of} == {self._bind('tag', tag)}:")
                self._all(consumers, value, indent + 3, step.operator)
        else:
            self._line(indent + 2, "pass")
        self._line(indent + 1, "else:")
        self._all(step.children, value, indent + 2, step.operator)

    def _all(self, consumers: list[Step | int], record: str, indent: int, operator: int) -> None:
        """Hand a record of `operator` to its consumers; all but the last get one of their own."""
        if not consumers:
            self._line(indent, "pass")
            return
        *others, last = consumers
        for consumer in others:
            copied = f"v{self._fresh()}"
            self._line(indent, f"{copied} = {self._bind('own', own)}({record})", (operator, False, record))
            self._consume(consumer, copied, indent)
        self._consume(last, record, indent)


class _NoTag:
    """Stands for OutputTag in trees that have no process function."""


def _is_tagged(value: str) -> str:
    return f"{value}.__class__ is tuple and {value} and {value}[0].__class__ is OutputTag"


def _by_tag(tagged: list[tuple[Any, Step | int]]) -> list[tuple[Any, list[Step | int]]]:
    """Consumers of side outputs, by tag in order of appearance."""
    grouped: list[tuple[Any, list[Step | int]]] = []
    for tag, consumer in tagged:
        for known, consumers in grouped:
            if known == tag:
                consumers.append(consumer)
                break
        else:
            grouped.append((tag, [consumer]))
    return grouped


def _subscript_of(key: Callable[[Any], Any]) -> int | str | None:
    """The field of an itemgetter: a subscript in the generated code costs less than the call."""
    if isinstance(key, operator.itemgetter):
        reduced: Any = key.__reduce__()
        fields = reduced[1]
        if len(fields) == 1 and type(fields[0]) in (int, str):
            field: int | str = fields[0]
            return field
    return None


def _walk(step: Step) -> Iterator[Step]:
    yield step
    for consumer in (*step.children, *(consumer for _, consumer in step.tagged)):
        if isinstance(consumer, Step):
            yield from _walk(consumer)


def _linear(root: Step) -> list[Step] | None:
    """The steps of a tree without branches or side outputs that ends in one output; else None."""
    steps = [root]
    while True:
        step = steps[-1]
        if step.tagged or len(step.children) != 1:
            return None
        child = step.children[0]
        if isinstance(child, int):
            return steps
        steps.append(child)
