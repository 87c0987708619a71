"""Two data exchanges in one process, over real sockets: order, credit, refusal, loss, held results."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import RowBatch
from yarnflow.graph.job_graph import Exchange
from yarnflow.runtime.network import exchange as exchange_module
from yarnflow.runtime.network import output as network_output
from yarnflow.runtime.network.elements import Element, EndOfData
from yarnflow.runtime.network.exchange import DataExchange
from yarnflow.runtime.network.framing import HEADER, FrameKind
from yarnflow.runtime.network.handshake import Handshake
from yarnflow.runtime.network.input import LOCAL_CAPACITY, InputChannel, RemoteChannel, TaskInput
from yarnflow.runtime.network.output import PENDING_CAPACITY, OutputChannel
from yarnflow.runtime.rpc.messages import Channel, DataAddress

WINDOW = 64 * 1024


class Clock:
    """Seconds that only move when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Node:
    """A worker's exchange with its own loop."""

    def __init__(
        self, directory: Path, name: str, secret: bytes = b"secret", machine: str = "here", clock: Any = None
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.lost: list[tuple[str, str]] = []
        self.clock = clock or Clock()
        self.exchange = DataExchange(
            self.selector, secret, lambda *loss: self.lost.append(loss), lambda: str(directory), self.clock
        )
        path = str(directory / f"{name}.sock") if machine else ""
        self.address = self.exchange.listen("127.0.0.1", range(1), path, machine)

    def serve(self) -> None:
        for key, mask in self.selector.select(0):
            key.data(mask)

    def close(self) -> None:
        self.exchange.close()
        self.selector.close()


class Net:
    """Nodes that are served together."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: list[Node] = []

    def node(self, **options: Any) -> Node:
        made = Node(self.directory, f"n{len(self.nodes)}", **options)
        self.nodes.append(made)
        return made

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "the condition was not reached"
            for node in self.nodes:
                node.serve()

    def settle(self) -> None:
        """Serve until nothing has been ready for several rounds."""
        quiet = 0
        while quiet < 5:
            busy = False
            for node in self.nodes:
                for key, mask in node.selector.select(0.002):
                    key.data(mask)
                    busy = True
            quiet = 0 if busy else quiet + 1


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    yield made
    for node in made.nodes:
        node.close()


def connect(
    producer: Node, consumer: Node, name: str, exchange: Exchange = Exchange.PIPELINED
) -> tuple[OutputChannel, InputChannel, TaskInput]:
    output = producer.exchange.open_output(Channel(name, consumer.address, 0), exchange)
    channel = consumer.exchange.open_input(Channel(name, producer.address, 0), WINDOW)
    task_input = TaskInput()
    task_input.add(channel, 0)
    return output, channel, task_input


def drain(task_input: TaskInput) -> tuple[list[Any], bool]:
    rows, ended = [], False
    while task_input.has_data():
        _, element = task_input.take()
        if isinstance(element, Element):
            ended = True
        else:
            assert isinstance(element, RowBatch)
            assert not ended
            rows += element.rows
    return rows, ended


@pytest.mark.parametrize("machine", ["here", ""], ids=["unix", "tcp"])
@pytest.mark.parametrize("exchange", list(Exchange))
def test_records_arrive_in_order_and_end(net: Net, machine: str, exchange: Exchange) -> None:
    producer, consumer = net.node(machine=machine), net.node(machine=machine)
    output, _, task_input = connect(producer, consumer, "c", exchange)
    sent = list(range(50_000))
    for start in range(0, len(sent), 5000):
        output.write(RowBatch(sent[start : start + 5000]))
    output.write(EndOfData())
    got: list[Any] = []
    ended = False

    def finished() -> bool:
        nonlocal ended
        rows, end = drain(task_input)
        got.extend(rows)
        ended = ended or end
        return ended

    net.until(finished)
    assert got == sent
    net.until(output.drained)


def test_timestamps_stay_with_their_records_when_batches_are_cut(net: Net) -> None:
    output, _, task_input = connect(net.node(), net.node(), "c")
    rows = [f"record {n}" * 20 for n in range(3000)]
    output.write(RowBatch(rows.copy(), list(range(3000))))
    pairs: list[tuple[Any, int]] = []

    def all_there() -> bool:
        while task_input.has_data():
            _, batch = task_input.take()
            assert isinstance(batch, RowBatch)
            assert batch.timestamps is not None
            pairs.extend(zip(batch.rows, batch.timestamps, strict=True))
        return len(pairs) == 3000

    net.until(all_there)
    assert pairs == list(zip(rows, range(3000), strict=True))


def test_a_slow_reader_stops_its_own_channel_only_and_memory_stays_bounded(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    slow, slow_channel, slow_input = connect(producer, consumer, "slow")
    fast, _, fast_input = connect(producer, consumer, "fast")
    written = 0
    for _ in range(10_000):
        if not slow.has_room():
            net.settle()
            if not slow.has_room():
                break
        slow.write(RowBatch(["x" * 100] * 500))
        written += 500
    else:
        pytest.fail("a channel that nobody reads always had room")
    assert isinstance(slow_channel, RemoteChannel)
    # One frame may exceed what was left of the window.
    assert slow_channel.bytes_in <= WINDOW + 2 * 1024 * 120
    got = 0
    for _ in range(100):
        fast.write(RowBatch(["y" * 100] * 500))

        def arrived() -> bool:
            nonlocal got
            got += len(drain(fast_input)[0])
            return fast.has_room()

        net.until(arrived)
    net.until(lambda: arrived() and got == 50_000)
    assert not slow.has_room()

    read = 0

    def all_read() -> bool:
        nonlocal read
        read += len(drain(slow_input)[0])
        return read == written

    net.until(all_read)
    assert slow.has_room()


def test_a_producer_waits_for_a_consumer_that_is_not_deployed_yet(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    output = producer.exchange.open_output(Channel("c", consumer.address, 0), Exchange.PIPELINED)
    for _ in range(PENDING_CAPACITY):
        output.write(RowBatch([1]))
    net.settle()
    assert not output.has_room()
    assert not output.drained()
    task_input = TaskInput()
    task_input.add(consumer.exchange.open_input(Channel("c", producer.address, 0), WINDOW), 0)
    net.until(output.drained)
    net.until(task_input.has_data)
    assert drain(task_input)[0]


def test_a_producer_that_stops_before_its_consumer_comes_leaves_no_trace(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    gone = producer.exchange.open_output(Channel("gone", consumer.address, 0), Exchange.PIPELINED)
    gone.write(RowBatch([1]))
    gone.close()
    output, _, task_input = connect(producer, consumer, "next")
    output.write(RowBatch([2]))
    net.until(task_input.has_data)
    assert drain(task_input)[0] == [2]
    assert consumer.lost == []


def test_what_arrives_for_a_consumer_that_ended_is_dropped(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    output, channel, task_input = connect(producer, consumer, "c")
    output.write(RowBatch([1]))
    net.until(task_input.has_data)
    consumer.exchange.close_input(channel)
    output.write(RowBatch([2]))
    net.until(output.drained)
    net.settle()
    assert drain(task_input)[0] == [1]


def test_local_channels_pass_by_reference_with_bounded_credit(net: Net) -> None:
    node = net.node()
    output, _, task_input = connect(node, node, "c")
    batches = [RowBatch([n]) for n in range(LOCAL_CAPACITY)]
    for batch in batches:
        assert output.has_room()
        output.write(batch)
    assert not output.has_room()
    assert task_input.take()[1] is batches[0]
    assert output.has_room()


def test_local_channels_work_whichever_end_comes_first(net: Net) -> None:
    node = net.node()
    channel = Channel("c", node.address, 0)
    task_input = TaskInput()
    task_input.add(node.exchange.open_input(channel, WINDOW), 0)
    node.exchange.open_output(channel, Exchange.PIPELINED).write(RowBatch([1]))
    assert drain(task_input)[0] == [1]


def test_held_results_in_one_worker_come_as_the_consumer_takes_them(net: Net) -> None:
    node = net.node()
    output = node.exchange.open_output(Channel("c", node.address, 0), Exchange.BLOCKING)
    for start in range(0, 20_000, 1000):
        assert output.has_room()
        output.write(RowBatch(list(range(start, start + 1000))))
    output.write(EndOfData())
    assert output.drained()
    task_input = TaskInput()
    task_input.add(node.exchange.open_input(Channel("c", node.address, 0), WINDOW), 0)
    rows, ended = drain(task_input)
    assert ended
    assert rows == list(range(20_000))


def test_held_results_beyond_the_memory_bound_come_from_disk(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "HELD_MEMORY", 10_000)
    producer, consumer = net.node(), net.node()
    output = producer.exchange.open_output(Channel("c", consumer.address, 0), Exchange.BLOCKING)
    sent = [f"record {n}" for n in range(20_000)]
    for start in range(0, len(sent), 1000):
        output.write(RowBatch(sent[start : start + 1000]))
    assert output.drained()
    task_input = TaskInput()
    task_input.add(consumer.exchange.open_input(Channel("c", producer.address, 0), WINDOW), 0)
    got: list[Any] = []

    def all_there() -> bool:
        got.extend(drain(task_input)[0])
        return len(got) == len(sent)

    net.until(all_there)
    assert got == sent


@pytest.mark.parametrize("machine", ["here", ""], ids=["unix", "tcp"])
def test_a_worker_of_another_cluster_is_refused_with_a_log_line(
    net: Net, machine: str, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = net.node(machine=machine)
    stranger = net.node(machine=machine, secret=b"other")
    stranger.exchange.open_output(Channel("c", consumer.address, 0), Exchange.PIPELINED)
    net.until(lambda: bool(stranger.lost))
    assert "secret" in stranger.lost[0][1]
    net.settle()

    # The consumer refuses on its own as well, even a client that skips its check of the server.
    with socket.create_connection((consumer.address.host, consumer.address.port)) as sock:
        sock.sendall(Handshake(b"other", server=False).start() + bytes(32))
        net.until(lambda: "refused a data connection" in caplog.text)
    assert "secret" in caplog.text


def test_frames_without_a_proof_are_never_read(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    consumer = net.node()
    with socket.create_connection((consumer.address.host, consumer.address.port)) as sock:
        sock.sendall(HEADER.pack(1, FrameKind.ELEMENT, 0, 4) + b"evil")
        net.until(lambda: "not a data connection of yarnflow" in caplog.text)


def test_silent_peers_are_dropped_in_time(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    consumer = net.node(clock=clock)
    with socket.create_connection((consumer.address.host, consumer.address.port)) as sock:
        net.settle()
        clock.now = exchange_module.HANDSHAKE_TIMEOUT + 1
        consumer.exchange.tick(clock.now)
        sock.settimeout(10)
        assert sock.recv(1) == b""
    assert "no proof" in caplog.text


def test_both_ends_hear_of_a_lost_connection(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    output, _, task_input = connect(producer, consumer, "c")
    output.write(RowBatch([1]))
    net.until(task_input.has_data)
    consumer.close()
    net.nodes.remove(consumer)
    net.until(lambda: bool(producer.lost))
    assert producer.lost[0][0] == "c"
    assert "data connection to" in producer.lost[0][1]


def test_an_unreachable_peer_is_reported(net: Net) -> None:
    producer = net.node(machine="")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = DataAddress("127.0.0.1", unused.getsockname()[1], "", "")
    producer.exchange.open_output(Channel("c", nobody, 0), Exchange.PIPELINED)
    net.until(lambda: bool(producer.lost))
    assert "refused" in producer.lost[0][1]


def test_without_the_unix_socket_data_goes_over_tcp(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    Path(consumer.address.socket_path).unlink()
    output, _, task_input = connect(producer, consumer, "c")
    output.write(RowBatch([1]))
    net.until(task_input.has_data)


def test_a_record_that_cannot_be_sent_fails_its_own_task_when_credit_comes(net: Net) -> None:
    producer, consumer = net.node(), net.node()
    output = producer.exchange.open_output(Channel("bad", consumer.address, 0), Exchange.PIPELINED)
    output.write(RowBatch([(record for record in ())]))
    other, _, other_input = connect(producer, consumer, "good")
    consumer.exchange.open_input(Channel("bad", producer.address, 0), WINDOW)
    other.write(RowBatch([1]))
    net.until(other_input.has_data)

    def raised() -> bool:
        try:
            output.has_room()
        except ProgramError:
            return True
        return False

    net.until(raised)
    assert producer.lost == []


@pytest.mark.parametrize("exchange", list(Exchange))
def test_a_record_above_the_limit_of_a_frame_is_the_programs_fault(
    net: Net, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_output, "MAX_PAYLOAD", 1000)
    producer, consumer = net.node(), net.node()
    output, _, task_input = connect(producer, consumer, "c", exchange)
    output.write(RowBatch(["small", "x" * 600, "y" * 600]))
    net.until(task_input.has_data)
    with pytest.raises(ProgramError, match=r"a record of .* bytes cannot be sent"):
        output.write(RowBatch(["x" * 2000]))
    assert producer.lost == []
