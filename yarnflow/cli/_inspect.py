"""What `yarnflow savepoint inspect` shows: what a savepoint consists of, or the first rows of a state."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from yarnflow.cli._common import print_answer

if TYPE_CHECKING:
    from yarnflow.runtime.checkpoint.metadata import CompletedCheckpoint, OperatorCheckpoint


def show_contents(checkpoint: CompletedCheckpoint, output: str) -> None:
    """Operators and states, from the metadata alone. `output`: "text" or "json"."""
    if output == "json":
        print_answer(_document(checkpoint), output, str)
    else:
        _show(checkpoint)


def show_rows(checkpoint: CompletedCheckpoint, operator: str, state: str, rows: int, output: str) -> None:
    """The first rows of a state. Raises as yarnflow.state_reader does."""
    from yarnflow.state_reader import open_savepoint  # pyarrow: the list of states needs none of it

    found = open_savepoint(checkpoint.directory).operator(operator).state(state)
    table = found.read(as_text=True, rows=rows)
    if output == "json":
        document = {
            "operator": operator,
            "state": found.name,
            "kind": found.kind,
            "types": found.types(),
            "rows": found.rows,
            "size": found.size,
            "first": table.to_pylist(),
        }
        print_answer(json.loads(json.dumps(document, default=str)), output, str)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    types = found.types()
    shown = Table()
    for name in table.column_names:
        shown.add_column(f"{name}\n{types.get(name, '')}", overflow="fold")
    for row in table.to_pylist():
        shown.add_row(*(Text(str(value)) for value in row.values()))
    console = Console(highlight=False)
    console.print(Text(f"{found.kind} state {found.name}: {len(table):,} of {found.rows:,} rows"))
    console.print(shown)


def _document(checkpoint: CompletedCheckpoint) -> dict[str, Any]:
    return {
        "path": checkpoint.directory,
        "kind": "savepoint" if checkpoint.savepoint else "checkpoint",
        "checkpoint-id": checkpoint.checkpoint_id,
        "job-id": checkpoint.job_id,
        "timestamp": checkpoint.timestamp,
        "size": checkpoint.size,
        "operators": [
            {
                "id": operator.operator_id,
                "uid": operator.uid,
                "name": operator.name,
                "parallelism": operator.parallelism,
                "max-parallelism": operator.max_parallelism,
                "size": operator.size,
                "states": _states(operator),
            }
            for operator in checkpoint.operators
        ],
    }


def _states(operator: OperatorCheckpoint) -> list[dict[str, Any]]:
    """The operator's states, summed over its subtasks."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def add(name: str, kind: str, details: dict[str, str], part: dict[str, Any]) -> None:
        entry = found.setdefault(
            (name, kind),
            {"name": name, "kind": kind, "details": details, "rows": 0, "size": 0, "subtasks": []},
        )
        entry["rows"] = None if part["rows"] is None else entry["rows"] + part["rows"]
        entry["size"] += part["size"]
        entry["subtasks"].append(part)

    for index, state in sorted(operator.subtasks.items()):
        for block in state.blocks:
            part = {"subtask": index, "rows": block.rows, "size": block.size, "key-groups": block.key_groups}
            add(block.name, block.kind.value, block.details, part)
        if state.files:
            size = sum(file.size for file in state.files)
            groups = state.files[0].key_groups
            add("", "files", {}, {"subtask": index, "rows": None, "size": size, "key-groups": groups})
    return list(found.values())


def _show(checkpoint: CompletedCheckpoint) -> None:
    # rich takes 50 ms: JSON needs none of it.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    document = _document(checkpoint)
    console = Console(highlight=False)
    taken = f"taken {_local_time(checkpoint.timestamp)}, {_size(checkpoint.size)}"
    lines = [f"{document['kind']} {checkpoint.checkpoint_id}, {taken}", f"job {checkpoint.job_id}"]
    console.print(Text("\n".join((*lines, checkpoint.directory))), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("operator", "uid", "par.", "state", "kind", "type"):
        table.add_column(name, overflow="fold", no_wrap=name == "par.")
    for name in ("rows", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for operator in document["operators"]:
        parallelism = f"{operator['parallelism']}/{operator['max-parallelism']}"
        head = [operator["name"], operator["uid"] or "-", parallelism]
        for number, state in enumerate(operator["states"] or [None]):
            cells = ["-", "", "", "", ""] if state is None else _cells(state)
            table.add_row(*map(Text, (*(head if number == 0 else ["", "", ""]), *cells)))
    console.print(table)


def _cells(state: dict[str, Any]) -> list[str]:
    if state["kind"] == "files":
        # The metadata does not say what is in them; `inspect PATH OPERATOR STATE` opens them.
        return ["files", "rocksdb's own form", "", "", _size(state["size"])]
    details = state["details"]
    kind = f"{state['kind']} {details.get('state', '')}".strip()
    rows = "" if state["rows"] is None else f"{state['rows']:,}"
    declared = details.get("type", "").replace("PickledByteArrayTypeInfo", "object").replace("TypeInfo", "")
    return [state["name"], kind, declared, rows, _size(state["size"])]


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _local_time(millis: int) -> str:
    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(millis / 1000))
