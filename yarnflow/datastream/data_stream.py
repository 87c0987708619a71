"""All kinds of streams under the module name of PyFlink."""

from yarnflow.datastream.broadcast_streams import BroadcastConnectedStream, BroadcastStream
from yarnflow.datastream.closeable_iterator import CloseableIterator
from yarnflow.datastream.connected_streams import ConnectedStreams
from yarnflow.datastream.interval_join import IntervalJoin, IntervalJoined
from yarnflow.datastream.joined_streams import CoGroupedStreams, JoinedStreams
from yarnflow.datastream.keyed_stream import KeyedStream
from yarnflow.datastream.stream import DataStream
from yarnflow.datastream.stream_sink import DataStreamSink
from yarnflow.datastream.windowed_stream import AllWindowedStream, WindowedStream

__all__ = [
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CloseableIterator",
    "CoGroupedStreams",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "IntervalJoin",
    "IntervalJoined",
    "JoinedStreams",
    "KeyedStream",
    "WindowedStream",
]
