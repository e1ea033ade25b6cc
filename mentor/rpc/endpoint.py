"""One service as a client holds it: reachable over gRPC or REST, with connections per event loop."""

from __future__ import annotations

import grpc
import httpx

from mentor.rpc.channels import PerLoop, grpc_channel, http_client
from mentor.rpc.retry import RetryPolicy


class ServiceEndpoint:
    """Connections to one service; safe to share between event loops and tasks.

    Args:
        endpoint: ``host:port`` of its gRPC port, or the URL of its REST port.
        policy: how to retry what is ours.
    """

    def __init__(self, endpoint: str, policy: RetryPolicy | None = None) -> None:
        self.endpoint = endpoint
        self._policy = policy or RetryPolicy()
        self._channel: PerLoop[grpc.aio.Channel] = PerLoop(lambda: grpc_channel(endpoint))
        self._client: PerLoop[httpx.AsyncClient] = PerLoop(lambda: http_client(endpoint))

    async def close(self) -> None:
        """Close what the running event loop opened."""
        if (channel := self._channel.take()) is not None:
            await channel.close(grace=None)
        if (client := self._client.take()) is not None:
            await client.aclose()
