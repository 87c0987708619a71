"""What both transports promise, checked on both."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path

import pytest

from yarnflow.errors import ClusterError, ClusterUnreachableError, ProtocolError
from yarnflow.runtime.rpc import authentication, codec
from yarnflow.runtime.rpc.channel import Connection
from yarnflow.runtime.rpc.in_process import InProcessHub
from yarnflow.runtime.rpc.messages import Heartbeat, ListLogs, LogChunk, Message, TaskStateChanged
from yarnflow.runtime.states import ExecutionState

SECRET = b"s3cret"
SHA = "ab" * 32


class Inbox:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.closings: list[str] = []
        self.changed = asyncio.Event()

    def received(self, message: Message) -> None:
        self.messages.append(message)
        self.changed.set()

    def closed(self, reason: str) -> None:
        self.closings.append(reason)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), 10)


class Side:
    """The JobManager's side: its connections and their inboxes."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.inboxes: list[Inbox] = []

    def accept(self, connection: Connection) -> Inbox:
        self.connections.append(connection)
        self.inboxes.append(Inbox())
        return self.inboxes[-1]


def make_server(transport: str, epoch: int):
    if transport == "in-process":
        hub = InProcessHub(epoch)
        return hub, lambda secret=SECRET: hub
    from yarnflow.runtime.rpc.grpc_client import GrpcConnector
    from yarnflow.runtime.rpc.grpc_server import GrpcServer

    server = GrpcServer(SECRET, epoch, "127.0.0.1", 0, "127.0.0.1")
    return server, lambda secret=SECRET: GrpcConnector(server.address, secret)


@pytest.fixture(params=["in-process", "grpc"])
def transport(request) -> str:
    return request.param


def run(transport: str, test: Callable[..., Awaitable[None]], tmp_path: Path, epoch: int = 7) -> None:
    async def main() -> None:
        blob = tmp_path / "blob"
        blob.write_bytes(b"x" * 3_000_000)
        server, connector = make_server(transport, epoch)
        side = Side()
        await server.start(side.accept, lambda sha: blob if sha == SHA else None)
        try:
            await test(server, connector, side)
        finally:
            await server.stop()

    asyncio.run(main())


async def connected(connector, side: Side) -> tuple[Connection, Inbox]:
    inbox = Inbox()
    connection = await connector().connect(lambda _: inbox)
    connection.send(Heartbeat())
    for _ in range(1000):
        if side.inboxes and side.inboxes[-1].messages:
            break
        await asyncio.sleep(0.005)
    return connection, inbox


def test_messages_arrive_in_order_both_ways(transport, tmp_path):
    async def test(server, connector, side):
        connection, inbox = await connected(connector, side)
        for number in range(200):
            connection.send(ListLogs(number))
            side.connections[0].send(ListLogs(number))
        await side.inboxes[0].until(lambda: len(side.inboxes[0].messages) == 201)
        await inbox.until(lambda: len(inbox.messages) == 200)
        assert [message.request_id for message in inbox.messages] == list(range(200))
        assert [message.request_id for message in side.inboxes[0].messages[1:]] == list(range(200))
        await connection.close("done")

    run(transport, test, tmp_path)


def test_large_messages_pass(transport, tmp_path):
    async def test(server, connector, side):
        connection, inbox = await connected(connector, side)
        side.connections[0].send(LogChunk(1, b"y" * 20_000_000))
        await inbox.until(lambda: bool(inbox.messages))
        assert len(inbox.messages[0].data) == 20_000_000
        await connection.close("done")

    run(transport, test, tmp_path)


def test_a_close_by_the_client_is_seen_once_by_both_after_all_messages(transport, tmp_path):
    async def test(server, connector, side):
        connection, inbox = await connected(connector, side)
        connection.send(ListLogs(1))
        await connection.close("good bye")
        await side.inboxes[0].until(lambda: bool(side.inboxes[0].closings))
        assert side.inboxes[0].messages[-1] == ListLogs(1)
        await inbox.until(lambda: bool(inbox.closings))
        connection.send(ListLogs(2))
        await connection.close("again")
        assert len(inbox.closings) == len(side.inboxes[0].closings) == 1
        assert connection.is_closed

    run(transport, test, tmp_path)


def test_a_close_by_the_server_is_seen_once_by_both_after_all_messages(transport, tmp_path):
    async def test(server, connector, side):
        _, inbox = await connected(connector, side)
        side.connections[0].send(ListLogs(1))
        await side.connections[0].close("enough")
        await inbox.until(lambda: bool(inbox.closings))
        assert inbox.messages == [ListLogs(1)]
        assert len(inbox.closings) == len(side.inboxes[0].closings) == 1

    run(transport, test, tmp_path)


def test_stopping_the_server_closes_every_connection(transport, tmp_path):
    async def test(server, connector, side):
        _, inbox = await connected(connector, side)
        await server.stop()
        await inbox.until(lambda: bool(inbox.closings))

    run(transport, test, tmp_path)


def test_messages_of_another_epoch_are_refused_at_both_ends(transport, tmp_path):
    async def test(server, connector, side):
        connection, inbox = await connected(connector, side)
        assert connection.epoch == 7
        connection.epoch = 6
        connection.send(ListLogs(1))
        connection.epoch = 7
        connection.send(ListLogs(2))
        await side.inboxes[0].until(lambda: len(side.inboxes[0].messages) == 2)
        assert side.inboxes[0].messages[1] == ListLogs(2)
        assert side.connections[0].refused == 1
        side.connections[0].epoch = 5
        side.connections[0].send(ListLogs(3))
        side.connections[0].epoch = 7
        side.connections[0].send(ListLogs(4))
        await inbox.until(lambda: bool(inbox.messages))
        assert inbox.messages == [ListLogs(4)]
        assert connection.refused == 1
        await connection.close("done")

    run(transport, test, tmp_path)


def test_a_leader_of_the_past_is_refused(transport, tmp_path):
    async def test(server, connector, side):
        with pytest.raises(ProtocolError, match="epoch 7"):
            await connector().connect(lambda _: Inbox(), minimum_epoch=8)
        assert not any(inbox.messages for inbox in side.inboxes)

    run(transport, test, tmp_path)


def test_blobs_are_fetched_and_missing_ones_reported(transport, tmp_path):
    async def test(server, connector, side):
        connection, _ = await connected(connector, side)
        await connection.fetch_blob(SHA, tmp_path / "copy")
        assert (tmp_path / "copy").stat().st_size == 3_000_000
        with pytest.raises(ClusterError, match="blob"):
            await connection.fetch_blob("cd" * 32, tmp_path / "other")
        await connection.close("done")

    run(transport, test, tmp_path)


def test_nobody_there_is_unreachable(transport, tmp_path):
    async def test(server, connector, side):
        client = connector()
        await server.stop()
        with pytest.raises(ClusterUnreachableError):
            await client.connect(lambda _: Inbox())

    run(transport, test, tmp_path)


# -- gRPC alone ------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_refused_on_both_sides(tmp_path):
    async def test(server, connector, side):
        with pytest.raises(ProtocolError, match="secret"):
            await connector(b"wrong").connect(lambda _: Inbox())
        assert not side.connections

    run("grpc", test, tmp_path)


def test_a_client_that_skips_the_proof_is_refused_before_anything_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(authentication, "client_proof", lambda *_: (b"\0" * 32, 7))
    opened = []
    monkeypatch.setattr(codec, "decode", lambda frame: opened.append(frame))

    async def test(server, connector, side):
        inbox = Inbox()
        connection = await connector(b"wrong").connect(lambda _: inbox)
        connection.send(Heartbeat())
        await inbox.until(lambda: bool(inbox.closings))
        assert not side.connections
        assert not opened

    run("grpc", test, tmp_path)


def test_blobs_need_the_session(tmp_path):
    async def test(server, connector, side):
        connection, _ = await connected(connector, side)
        connection._session = "0" * 64
        with pytest.raises(ClusterError, match="secret"):
            await connection.fetch_blob(SHA, tmp_path / "copy")
        await connection.close("done")

    run("grpc", test, tmp_path)


def test_a_taken_port_is_a_clear_error(tmp_path):
    async def test(server, connector, side):
        from yarnflow.runtime.rpc.grpc_server import GrpcServer

        second = GrpcServer(SECRET, 1, "127.0.0.1", server.port, "127.0.0.1")
        with pytest.raises(ClusterError, match=r"jobmanager\.rpc\.port"):
            await second.start(side.accept, lambda _: None)

    run("grpc", test, tmp_path)


# -- frames ----------------------------------------------------------------------------------------------


def test_frames_round_trip():
    message = LogChunk(3, b"data")
    assert codec.decode(codec.encode(5, message)) == (5, message)


class Evil:
    def __reduce__(self):
        return print, ("owned",)


@pytest.mark.parametrize(
    "frame", [b"", b"garbage", pickle.dumps((1, Evil())), pickle.dumps((1, 2)), pickle.dumps([Heartbeat()])]
)
def test_what_is_not_a_message_is_refused(frame, capsys):
    with pytest.raises(ProtocolError):
        codec.decode(frame)
    assert "owned" not in capsys.readouterr().out


class PicklerOfPython3110(pickle.Pickler):
    """Pickles members of enumerations as Python 3.11.0 to 3.11.3 do."""

    def reducer_override(self, value):
        return (getattr, (type(value), value.name)) if isinstance(value, Enum) else NotImplemented


def pickled_by_python_3_11_0(value):
    buffer = io.BytesIO()
    PicklerOfPython3110(buffer, protocol=5).dump(value)
    return buffer.getvalue()


def test_members_of_enumerations_are_read_from_python_3_11_0():
    message = TaskStateChanged("a1", ExecutionState.RUNNING)
    assert codec.decode(pickled_by_python_3_11_0((1, message))) == (1, message)


class AsksForAnAttribute:
    def __reduce__(self):
        return getattr, (Heartbeat, "__init__")


def test_getattr_is_for_enumerations_only():
    with pytest.raises(ProtocolError, match="asked for '__init__' of"):
        codec.decode(pickle.dumps((1, AsksForAnAttribute())))


def test_replayed_proofs_do_not_pass():
    hello = authentication.client_hello()
    first = authentication.server_hello(SECRET, 1, hello)
    proof, _ = authentication.client_proof(SECRET, hello, first)
    authentication.check_client(SECRET, hello, first, proof)
    second = authentication.server_hello(SECRET, 1, hello)
    with pytest.raises(ProtocolError):
        authentication.check_client(SECRET, hello, second, proof)
