"""What a local stack consists of: which processes, on which ports, with which environment."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from mentor.errors import UserError
from mentor.jobs.embedded_redis import redis_command
from mentor.trajectory import Frozen

SERVICES = {
    "sandbox": (5000, 50051),
    "retriever": (8081, 50052),
    "teacher": (8082, 50053),
    "trainer": (8083, 50054),
    "evaluator": (8084, 50055),
    "console": (8085, 8085),
}
"""REST and gRPC ports; the same twice where there is no gRPC."""
WORKERS = {
    "teacher": ("mentor_teacher.jobs:TeacherJob",),
    "trainer": ("mentor_trainer.jobs:TrainJob",),
    "evaluator": ("mentor_evaluator.jobs:EvaluateJob", "mentor_evaluator.matrix.job:EvaluationJob"),
}
STACK_VARIABLE = "MENTOR_STACK"
MODEL_PORT = 8000
_ACCESS = ("MENTOR_API_KEY", "MENTOR_API_KEY_FILE", "MENTOR_API_KEYS_FILE", "MENTOR_OIDC_ISSUER")


class ModelServer(Frozen):
    """A model that the local engine serves beside the services."""

    name: str
    path: str
    port: int = MODEL_PORT


class StackSpec(Frozen):
    """A local stack. ``port_offset`` is added to every port, so that several can stand on one machine. ``jobs``: of each
    service, at once."""

    home: str = Field(default_factory=lambda: os.environ.get("MENTOR_HOME", ".mentor"))
    port_offset: int = Field(default=0, ge=0, le=10_000)
    corpus: str | None = None
    models: tuple[ModelServer, ...] = ()
    jobs: int = Field(default=1, ge=1, le=64)

    @property
    def folder(self) -> Path:
        """The home as an absolute path."""
        return Path(self.home).resolve()

    @property
    def mark(self) -> str:
        """Value of ``MENTOR_STACK`` in every process of this stack."""
        return str(self.folder)

    def url(self, service: str) -> str:
        """REST URL of a service."""
        return f"http://127.0.0.1:{SERVICES[service][0] + self.port_offset}"

    def target(self, service: str) -> str:
        """gRPC target of a service."""
        return f"127.0.0.1:{SERVICES[service][1] + self.port_offset}"

    def ports(self) -> list[int]:
        """Every port that the stack listens on."""
        own = [port + self.port_offset for pair in SERVICES.values() for port in dict.fromkeys(pair)]
        return own + [model.port + self.port_offset for model in self.models]

    @property
    def redis_folder(self) -> Path:
        """Where Redis keeps its data and its socket: a short path, because a Unix socket's may not be long."""
        folder = self.folder / "redis"
        if len(str(folder)) <= 90:
            return folder
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"mentor-{os.getuid()}-{digest}"


class ProcessSpec(Frozen):
    """One process. ``ready_url`` answers 200 when it can take work."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    ready_url: str | None = None


def is_open(environment: Mapping[str, str]) -> bool:
    """Whether services started with this environment ask nobody who they are."""
    return not any(environment.get(name) for name in _ACCESS)


def process_specs(spec: StackSpec) -> list[ProcessSpec]:
    """The processes in the order in which they are started; they are stopped in reverse.

    Raises:
        UserError: the home's path cannot be used, or the corpus does not exist.
    """
    shared = _shared_environment(spec)
    redis = ProcessSpec(name="redis", command=tuple(redis_command(spec.redis_folder)))
    services = [_service(spec, name, shared) for name in SERVICES]
    workers = [_worker(spec, name, handlers, shared) for name, handlers in WORKERS.items()]
    return [redis, *(_model_server(spec, model, shared) for model in spec.models), *services, *workers]


def _shared_environment(spec: StackSpec) -> dict[str, str]:
    return {
        STACK_VARIABLE: spec.mark,
        "MENTOR_JOBS_REDIS_URL": f"unix://{spec.redis_folder / 'redis.sock'}",
        "MENTOR_JOBS_STORE": str(spec.folder / "store"),
        "MENTOR_SANDBOX_TARGET": spec.target("sandbox"),
        "MENTOR_RETRIEVER_TARGET": spec.target("retriever"),
        # Thread pools of OpenMP, BLAS and torch fighting over a laptop's cores cost more than they bring.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _service(spec: StackSpec, name: str, shared: dict[str, str]) -> ProcessSpec:
    rest, rpc = (port + spec.port_offset for port in SERVICES[name])
    grpc = str(rpc) if rpc != rest else "-1"
    command = (sys.executable, "-m", f"mentor_{name}", "--port", str(rest), "--grpc-port", grpc)
    env = dict(shared)
    if name == "console":
        env |= _console(spec)
    if name == "retriever":
        corpus = Path(spec.corpus) if spec.corpus else example_path("corpus.jsonl")
        if not corpus.is_file():
            raise UserError(f"{corpus} does not exist", field="corpus", allowed="a JSON lines file of {id, contents}")
        env["MENTOR_RETRIEVER_CORPUS_PATH"] = str(corpus.resolve())
        env["MENTOR_RETRIEVER_RETRIEVAL_METHOD"] = "bm25"
    return ProcessSpec(name=name, command=command, env=env, ready_url=f"{spec.url(name)}/ready")


def _console(spec: StackSpec) -> dict[str, str]:
    """Where the console finds the others, and keeps its index."""
    urls = {f"MENTOR_CONSOLE_{name.upper()}_URL": spec.url(name) for name in SERVICES if name != "console"}
    models = {model.name: f"http://127.0.0.1:{model.port + spec.port_offset}/v1" for model in spec.models}
    return urls | {
        "MENTOR_CONSOLE_CACHE": str(spec.folder / "console"),
        "MENTOR_CONSOLE_MODELS": json.dumps(models),
        "MENTOR_CONSOLE_STUDENT": str(example_path("checkpoints/student")),
    }


def _worker(spec: StackSpec, name: str, handlers: tuple[str, ...], shared: dict[str, str]) -> ProcessSpec:
    command = (sys.executable, "-m", "mentor.jobs.worker", "--name", name, *handler_flags(handlers))
    command += ("--concurrency", str(spec.jobs))
    return ProcessSpec(name=f"{name}-worker", command=command, env=shared)


def handler_flags(handlers: Iterable[str]) -> list[str]:
    """Arguments by which a worker is told what it runs."""
    return [flag for handler in handlers for flag in ("--handler", handler)]


def _model_server(spec: StackSpec, model: ModelServer, shared: dict[str, str]) -> ProcessSpec:
    port = str(model.port + spec.port_offset)
    command: tuple[str, ...] = (
        sys.executable,
        "-m",
        "mentor.inference.local",
        "--model",
        str(Path(model.path).resolve()),
    )
    command += ("--served-model-name", model.name, "--port", port)
    return ProcessSpec(
        name=f"model-{model.name}", command=command, env=shared, ready_url=f"http://127.0.0.1:{port}/health"
    )


def example_path(name: str) -> Path:
    """A file of the tiny world, which comes with the repository.

    Raises:
        UserError: this is not a checkout.
    """
    folder = Path(__file__).resolve().parents[2] / "examples" / "tiny"
    if not folder.is_dir():
        raise UserError("the tiny world is not here", field="examples", allowed="a checkout of the repository")
    return folder / name
