"""User code on its way to the workers.

cloudpickle takes what the program itself defines (module `__main__`, lambdas, nested functions) by value and
everything from importable modules by name: modules that the workers lack must be shipped with -pyfs.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from yarnflow.errors import SerializationError
from yarnflow.functions.keyed_adapters import users
from yarnflow.graph.operators import OperatorChain


def pickle_chain(chain: OperatorChain) -> bytes:
    """Return the pickle of a chain. Raises SerializationError naming operator, function and reason."""
    import cloudpickle  # a program that only builds or prints its plan does without

    try:
        pickled: bytes = cloudpickle.dumps(chain)
    except Exception as error:  # pickling runs code of whatever the program hands over
        raise _explain(chain, error) from error
    return pickled


def _explain(chain: OperatorChain, error: Exception) -> SerializationError:
    for operator in chain.operators:
        for field in fields(operator.spec):
            value = getattr(operator.spec, field.name)
            reason = _reason(value)
            if reason is not None:
                return SerializationError(_message(operator.name, field.name, value, reason))
    for output in chain.outputs:
        for what, value in (("key selector", output.key), ("partitioner", output.partitioner)):
            reason = _reason(value)
            if reason is not None:
                name = f"{chain.operators[output.source].name}"
                return SerializationError(_message(name, what, value, reason))
    return SerializationError(
        f"the operators '{' -> '.join(operator.name for operator in chain.operators)}' cannot be pickled: {error}"
    )


def _message(operator: str, what: str, value: Any, reason: Exception) -> str:
    return (
        f"operator '{operator}': the {what} {_describe(value)} cannot be pickled, so it cannot be sent to a "
        f"worker: {_one_line(reason)}. Create what cannot be pickled (connections, locks, open files) in open(), "
        "not in the constructor or outside the function."
    )


def _reason(value: Any) -> Exception | None:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception as error:  # this is what is to be reported
        return error
    return None


def _describe(value: Any) -> str:
    value = users(value)
    name = getattr(value, "__qualname__", None)
    if name is None:
        return f"of class {type(value).__qualname__}"
    code = getattr(value, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}, line {code.co_firstlineno})"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
