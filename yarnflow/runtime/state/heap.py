"""The hashmap backend: keyed state in dicts in memory.

`table.of(namespace)` is a dict of its own, so operators and handles pay for a look-up and nothing else. A million
counters of int keys take about 100 MB (docs/adr/0007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.state.backend import TABLE, KeyedStateBackend, StateTable, wall_clock
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, TaskSnapshot


class HeapTable(StateTable):
    """One named state: a dict per namespace."""

    def __init__(self) -> None:
        self.spaces: dict[Any, dict[Any, Any]] = {None: {}}

    def of(self, namespace: Any) -> dict[Any, Any]:
        found = self.spaces.get(namespace)
        if found is None:
            found = self.spaces[namespace] = {}
        return found

    def drop(self, namespace: Any) -> None:
        if namespace is None:
            self.spaces[None].clear()  # handles keep it
        else:
            self.spaces.pop(namespace, None)

    def namespaces(self) -> list[Any]:
        return [namespace for namespace, entries in self.spaces.items() if entries]

    def entries(self) -> int:
        """Number of keys, over all namespaces."""
        return sum(map(len, self.spaces.values()))


class HashMapStateBackend(KeyedStateBackend):
    """Keyed state in memory."""

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        super().__init__(clock)
        self._tables: dict[str, HeapTable] = {}

    def table(self, name: str) -> HeapTable:
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = HeapTable()
            self.kinds.setdefault(name, TABLE)
        return found

    def snapshot(self, snapshot: TaskSnapshot, operator_id: str) -> None:
        for name, table in self._tables.items():
            entries = table.entries()
            if entries:
                living = self.expired(name)
                snapshot.keyed.append(
                    KeyedPart(
                        operator_id,
                        name,
                        StateKind.KEYED,
                        _reader(table.spaces, living),
                        entries,
                        self.details(name),
                    )
                )

    def restore(self, restored: RestoredOperator) -> None:
        for name in restored.keyed_names():
            table = self.table(name)
            self.restored_table(name, restored.details(name))
            for namespace, keys, values in restored.keyed(name):
                table.of(namespace).update(zip(keys, values, strict=True))

    def close(self) -> None:
        for table in self._tables.values():
            for entries in table.spaces.values():
                entries.clear()


Living = Callable[[Any], Any]
Reader = Callable[[], Iterable[Chunk]]


def _reader(spaces: dict[Any, dict[Any, Any]], living: Living | None) -> Reader:
    def chunks() -> Iterator[Chunk]:
        for namespace, entries in spaces.items():
            if entries:
                yield _filtered(namespace, list(entries), list(entries.values()), living)

    return chunks


def _filtered(namespace: Any, keys: list[Any], values: list[Any], living: Living | None) -> Chunk:
    if living is not None:
        kept = [
            (key, left) for key, value in zip(keys, values, strict=True) if (left := living(value)) is not None
        ]
        keys, values = [key for key, _ in kept], [value for _, value in kept]
    return Chunk(namespace, keys, values)
