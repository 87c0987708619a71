from __future__ import annotations

import socket

import pytest

from yarnflow.devcluster import ports
from yarnflow.errors import DevClusterError


def test_chosen_ports_are_free_distinct_and_below_the_ephemeral_range() -> None:
    names = ports.names_for(3, zookeeper=True)
    chosen = ports.choose(names, {})
    assert set(chosen) == set(names)
    assert len(set(chosen.values())) == len(names)
    assert all(ports.LOWEST <= port < 65_536 and ports.is_free(port) for port in chosen.values())


def test_known_ports_stay_also_those_not_asked_for() -> None:
    known = {"namenode-rpc": 12_001, "nodemanager-5-rpc": 12_002}
    chosen = ports.choose(["namenode-rpc", "namenode-web"], known)
    assert known.items() <= chosen.items()
    assert set(chosen) == {*known, "namenode-web"}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_listener_takes_its_port(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_no_free_port_is_an_error_that_names_the_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(DevClusterError, match="no free port is left for namenode-rpc"):
        ports.choose(["namenode-rpc"], {})
