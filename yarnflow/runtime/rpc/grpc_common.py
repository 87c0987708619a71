"""Names and settings that both ends of the gRPC transport share."""

from __future__ import annotations

SERVICE = "yarnflow.JobManager"
TALK = "Talk"
FETCH_BLOB = "FetchBlob"
SESSION_KEY = "yarnflow-session"

#: Bytes of one piece of a blob.
BLOB_PIECE = 1 << 20

#: Channel arguments. Messages carry user code, which may be large, so gRPC's limit of 4 MB goes; what
#: arrives is from an authenticated peer, and the handshake's frames have fixed lengths.
#: Two servers must not share a port silently, and a proxy meant for the outside must not be used.
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


def identity(frame: bytes) -> bytes:
    """Frames are bytes already: gRPC's (de)serialiser hook."""
    return frame
