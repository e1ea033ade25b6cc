"""Server. GRPC: programs behind ``mentor.rpc.v1.ProgramService``."""

from __future__ import annotations

from mentor.rpc.v1 import programs_pb2 as pb
from mentor.rpc.v1.programs_pb2_grpc import ProgramServiceServicer
from mentor_sandbox.supervise.programs import Program, Programs
from mentor_sandbox.surface.rpc.messages import Context, ResultMessage, positive

FULL_NAME = pb.DESCRIPTOR.services_by_name["ProgramService"].full_name
_message = ResultMessage(pb.RunCodeResponse)


class ProgramServicer(ProgramServiceServicer):  # type: ignore[misc]
    """Translates messages."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def RunCode(self, request: pb.RunCodeRequest, context: Context) -> pb.RunCodeResponse:
        """Run a program."""
        program = Program(
            code=request.code,
            stdin=request.stdin,
            files=dict(request.files),
            fetch=tuple(request.fetch_files),
            timeout_s=positive(request.timeout_s, "timeout_s"),
            memory_mb=positive(request.memory_mb, "memory_mb"),
        )
        return _message(await self._programs.run(program))
