"""gRPC: programs behind ``mentor.rpc.v1.ProgramService``."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from mentor.errors import UserError
from mentor.rpc.v1 import programs_pb2 as pb
from mentor.rpc.v1.programs_pb2_grpc import ProgramServiceServicer
from mentor_sandbox.supervise.programs import Program, Programs

FULL_NAME = pb.DESCRIPTOR.services_by_name["ProgramService"].full_name
Context = ServicerContext[Any, Any]


class ProgramServicer(ProgramServiceServicer):  # type: ignore[misc]
    """Translates messages."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def RunCode(self, request: pb.RunCodeRequest, context: Context) -> pb.RunCodeResponse:
        """Run a program."""
        if request.timeout_s < 0 or request.memory_mb < 0:
            field = "timeout_s" if request.timeout_s < 0 else "memory_mb"
            raise UserError("a limit must be positive", field=field)
        program = Program(
            code=request.code,
            stdin=request.stdin,
            files=dict(request.files),
            fetch=tuple(request.fetch_files),
            timeout_s=request.timeout_s or None,
            memory_mb=request.memory_mb or None,
        )
        result = await self._programs.run(program)
        return pb.RunCodeResponse(
            status=f"CALL_STATUS_{result.status.name}",
            exit_code=result.exit_code,
            stdout=result.stdout,
            stderr=result.stderr,
            error_type=result.error_type,
            error_message=result.error_message,
            duration_ms=result.duration_ms,
            stdout_truncated=result.stdout_truncated,
            stderr_truncated=result.stderr_truncated,
            peak_memory_bytes=result.peak_memory_bytes,
            files=result.files,
        )
