"""Server. GRPC: sessions behind ``mentor.rpc.v1.SessionService``."""

from __future__ import annotations

from mentor.rpc.v1 import sessions_pb2 as pb
from mentor.rpc.v1.sessions_pb2_grpc import SessionServiceServicer
from mentor_sandbox.supervise.sessions import Sessions
from mentor_sandbox.surface.rest.sessions import shown
from mentor_sandbox.surface.rpc.messages import Context, ResultMessage, positive

FULL_NAME = pb.DESCRIPTOR.services_by_name["SessionService"].full_name
_message = ResultMessage(pb.CellResult)


class SessionServicer(SessionServiceServicer):  # type: ignore[misc]
    """Translates messages."""

    def __init__(self, sessions: Sessions, most: int) -> None:
        self._sessions = sessions
        self._most = most

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> pb.CreateSessionResponse:
        """Start a session."""
        memory_mb = positive(request.memory_mb, "memory_mb")
        idle_s = positive(request.idle_timeout_s, "idle_timeout_s")
        session = await self._sessions.create(dict(request.files), memory_mb, idle_s)
        return pb.CreateSessionResponse(session=pb.Session(**shown(session)))

    async def ExecuteCell(self, request: pb.ExecuteCellRequest, context: Context) -> pb.ExecuteCellResponse:
        """Run a cell."""
        timeout_s = positive(request.timeout_s, "timeout_s")
        return pb.ExecuteCellResponse(
            result=_message(await self._sessions.execute(request.session_id, request.code, timeout_s))
        )

    async def PutFiles(self, request: pb.PutFilesRequest, context: Context) -> pb.PutFilesResponse:
        """Write files."""
        return pb.PutFilesResponse(written=await self._sessions.put(request.session_id, dict(request.files)))

    async def GetFiles(self, request: pb.GetFilesRequest, context: Context) -> pb.GetFilesResponse:
        """Read files."""
        return pb.GetFilesResponse(files=await self._sessions.get(request.session_id, tuple(request.paths)))

    async def SnapshotSession(self, request: pb.SnapshotSessionRequest, context: Context) -> pb.SnapshotSessionResponse:
        """Read all files."""
        return pb.SnapshotSessionResponse(files=await self._sessions.snapshot(request.session_id))

    async def RestoreSession(self, request: pb.RestoreSessionRequest, context: Context) -> pb.RestoreSessionResponse:
        """Make a session's files those of a snapshot."""
        written = await self._sessions.restore(request.session_id, dict(request.files))
        return pb.RestoreSessionResponse(written=written)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        """How many are open."""
        return pb.ListSessionsResponse(open=self._sessions.count, most=self._most)

    async def CloseSession(self, request: pb.CloseSessionRequest, context: Context) -> pb.CloseSessionResponse:
        """End a session."""
        return pb.CloseSessionResponse(cells=await self._sessions.close(request.session_id))
