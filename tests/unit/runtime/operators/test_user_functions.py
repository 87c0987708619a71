"""Key selectors as callables."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from yarnflow.runtime.operators.user_functions import bind_key


def named(record: Any) -> Any:
    return record[0]


@pytest.mark.parametrize(
    ("selector", "record", "key"),
    [
        (lambda record: record[0], ("a", 1), "a"),
        (lambda record: record["name"], {"name": "a"}, "a"),
        (lambda pair: pair[-1], ("a", 1), 1),
        (named, ("a", 1), "a"),
        (1, ("a", 2), 2),
        ("name", {"name": "a"}, "a"),
    ],
)
def test_fields(selector: Any, record: Any, key: Any) -> None:
    bound = bind_key(selector)
    assert isinstance(bound, operator.itemgetter)
    assert bound(record) == key


OFFSET = 0


def generator(record: Any) -> Any:
    yield record[0]


async def coroutine(record: Any) -> Any:
    return record[0]


@pytest.mark.parametrize(
    "selector",
    [
        lambda record: record[0][1],
        lambda record: record[0] + 0,
        lambda record: record[True],
        lambda record: record[OFFSET],
        lambda record, other=0: record[0],
        lambda record, *more: record[0],
        lambda *record: record[0],
        lambda **record: record["name"],
        lambda record: record[0:1],
        lambda record: (record[0], 0),
        lambda record: "a"[0],
        lambda record: 0,
        lambda record: record,
        generator,
        coroutine,
        max,
    ],
)
def test_other_functions_are_called(selector: Any) -> None:
    assert bind_key(selector) is selector
