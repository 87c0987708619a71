"""Options and the configuration that holds their values."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest

from yarnflow.config import Configuration, MemorySize, Option, OptionPrefix
from yarnflow.config.values import MEMORY_MB
from yarnflow.errors import ConfigurationError

SLOTS = Option("taskmanager.numberOfTaskSlots", int, 1, "Slots.", minimum=1)
NAME = Option("pipeline.name", str, None, "Name.")
TIMEOUT = Option(
    "new.timeout", timedelta, timedelta(seconds=5), "T.", fallback=("old.timeout", "older.timeout")
)
STRATEGY = Option("strategy", str, "region", "S.", choices=("region", "full"))
MEMORY = Option("memory", MEMORY_MB, MemorySize.of_mebibytes(1), "M.")
PASSWORD = Option("store.password", int, 0, "P.")


def test_an_option_that_is_not_set_has_its_default() -> None:
    config = Configuration()
    assert config[SLOTS] == 1
    assert config[NAME] is None
    assert config.get(SLOTS) is None
    assert SLOTS not in config


def test_a_value_is_parsed_where_it_is_read() -> None:
    config = Configuration({"taskmanager.numberOfTaskSlots": "4", "memory": "64"})
    assert config[SLOTS] == config.get(SLOTS) == 4
    assert config[MEMORY].mebibytes == 64
    assert SLOTS in config
    assert "memory" in config


def test_fallback_keys_are_read_in_their_order_and_yield_to_the_key() -> None:
    config = Configuration({"older.timeout": "3 s"})
    assert config[TIMEOUT] == timedelta(seconds=3)
    config.set_string("old.timeout", "2 s")
    assert config[TIMEOUT] == timedelta(seconds=2)
    config.set(TIMEOUT, timedelta(seconds=1))
    assert config[TIMEOUT] == timedelta(seconds=1)
    assert config.to_dict()["new.timeout"] == "1 s"


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        (SLOTS, "two", "taskmanager.numberOfTaskSlots: 'two' is not a whole number, at least 1"),
        (SLOTS, "0", "taskmanager.numberOfTaskSlots: '0' is not a whole number, at least 1"),
        (STRATEGY, "all", "strategy: 'all' is not one of region, full"),
        (TIMEOUT, "5 parsecs", "new.timeout: '5 parsecs' is not a duration"),
        (MEMORY, "1 x", "a bare number is in megabytes"),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_accepted(
    option: Option[object], text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        Configuration({option.key: text})[option]
    assert message in str(error.value)


def test_a_wrong_value_under_a_fallback_key_names_that_key() -> None:
    with pytest.raises(ConfigurationError, match=r"^old\.timeout: 'x'"):
        Configuration({"old.timeout": "x"})[TIMEOUT]


@pytest.mark.parametrize(("option", "value"), [(SLOTS, 0), (SLOTS, "many"), (STRATEGY, "all"), (TIMEOUT, 5)])
def test_setting_a_value_the_option_does_not_accept_is_refused(option: Option[object], value: object) -> None:
    config = Configuration()
    with pytest.raises(ConfigurationError, match=option.key):
        config.set(option, value)
    assert len(config) == 0


def test_secrets_are_shown_nowhere() -> None:
    config = Configuration(
        {"store.password": "hunter2", "security.ssl.Internal.Key-Password": "x1", "a": "b"}
    )
    assert repr(config) == (
        "Configuration({'store.password': '******', 'security.ssl.Internal.Key-Password': '******', 'a': 'b'})"
    )
    assert config.to_masked_dict()["store.password"] == "******"
    assert config.to_dict()["store.password"] == "hunter2"
    with pytest.raises(ConfigurationError) as error:
        config[PASSWORD]
    with pytest.raises(ConfigurationError) as other:
        config.get_integer("store.password", 1)
    assert "hunter2" not in f"{error.value} {other.value}"


def test_copies_are_independent_and_equal() -> None:
    config = Configuration({"a": "1"})
    for copied in (
        config.clone(),
        Configuration(config),
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
    ):
        assert copied == config
        assert hash(copied) == hash(config)
        copied.set_string("a", "2")
        assert config.to_dict() == {"a": "1"}
        assert copied != config
    assert config != {"a": "1"}


def test_merging_leaves_both_as_they_are() -> None:
    weak, strong = Configuration({"a": "1", "b": "1"}), Configuration({"b": "2"})
    assert weak.merge(strong).to_dict() == {"a": "1", "b": "2"}
    assert weak.merge({"c": "3"}).to_dict() == {"a": "1", "b": "1", "c": "3"}
    assert (weak.to_dict(), strong.to_dict()) == ({"a": "1", "b": "1"}, {"b": "2"})


def test_a_prefix_gives_the_entries_below_it() -> None:
    config = Configuration({"env.A": "1", "env.B.C": "2", "env.": "no", "environment": "no"})
    assert config.with_prefix(OptionPrefix("env.", "NAME", "")) == {"A": "1", "B.C": "2"}


def test_pyflinks_methods() -> None:
    config = Configuration()
    config.set_string("s", "text")
    config.set_integer("i", 7)
    config.set_float("f", 0.5)
    config.set_boolean("b", True)
    config.set_bytearray("y", bytearray(b"\x00\xff"))
    assert config.get_string("s", "") == "text"
    assert config.get_integer("i", 0) == 7
    assert config.get_float("f", 0) == 0.5
    assert config.get_boolean("b", False) is True
    assert config.get_bytearray("y", bytearray()) == bytearray(b"\x00\xff")
    assert config.get_string("none", "default") == "default"
    assert (config.get_integer("none", 3), config.get_boolean("none", True)) == (3, True)
    assert isinstance(config.get_float("none", 1), float)
    assert config.key_set() == {"s", "i", "f", "b", "y"}
    assert config.contains_key("s")
    assert config.remove_config("s")
    assert not config.remove_config("s")
    with pytest.raises(ConfigurationError, match="b: 'true' is not a whole number"):
        config.get_integer("b", 0)

    other, target = Configuration({"x": "1"}), {"kept": "yes"}
    config.add_all(other)
    config.add_all(other, "prefix.")
    config.add_all_to_dict(target)
    assert (target["x"], target["prefix.x"], target["kept"]) == ("1", "1", "yes")
