"""The evaluator service: jobs of its kind over REST and gRPC."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mentor.jobs.manager import JobManager
from mentor.jobs.service import build_job_service
from mentor.rpc.principal import Role
from mentor.rpc.v1.evaluations_pb2_grpc import add_EvaluationsServiceServicer_to_server
from mentor.serving import RpcBinding, Service, ServiceSettings
from mentor_evaluator.api.evaluations import Evaluations
from mentor_evaluator.api.rest import evaluations_router
from mentor_evaluator.api.rpc import EvaluationsServicer
from mentor_evaluator.jobs import EvaluateJob
from mentor_evaluator.matrix.job import EvaluationJob


class EvaluatorSettings(ServiceSettings):
    """Settings of the service, prefix ``MENTOR_EVALUATOR_``; those of jobs are ``mentor.jobs.settings``."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_EVALUATOR_")

    port: int = Field(default=8084, ge=0, le=65535)
    grpc_port: int | None = Field(default=50055, ge=-1, le=65535)


def build(settings: EvaluatorSettings) -> Service:
    """The service, ready to listen."""
    return build_job_service("evaluator", settings, [EvaluateJob(), EvaluationJob()], further=_evaluations)


def _evaluations(manager: JobManager) -> tuple[list[APIRouter], list[RpcBinding]]:
    api = Evaluations(manager)
    add, name = add_EvaluationsServiceServicer_to_server, "mentor.rpc.v1.EvaluationsService"
    return [evaluations_router(api)], [RpcBinding(add, EvaluationsServicer(api), name, Role.SUBMIT)]
