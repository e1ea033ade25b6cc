"""Every path and RPC of every service asks for a role, and the table in docs/security.md says which."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pool

from mentor.inference.local.server import build as build_model
from mentor.inference.local.settings import ModelServerSettings
from mentor.jobs.settings import JobSettings
from mentor.rpc.principal import Role
from mentor.serving import Service, create_app, running
from mentor.serving.middleware import OPEN_PATHS
from mentor_console.app import build as build_console
from mentor_console.settings import ConsoleSettings
from mentor_evaluator.app import EvaluatorSettings
from mentor_evaluator.app import build as build_evaluator
from mentor_retriever.app import build as build_retriever
from mentor_retriever.settings import RetrieverSettings
from mentor_sandbox.app import build as build_sandbox
from mentor_sandbox.settings import SandboxSettings
from mentor_teacher.app import TeacherSettings
from mentor_teacher.app import build as build_teacher
from mentor_trainer.app import TrainerSettings
from mentor_trainer.app import build as build_trainer

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "examples" / "tiny"
KEYS = {role: f"a-key-with-the-role-{role}" for role in Role}
BUILDERS: dict[str, Callable[[dict[str, Any]], Service]] = {
    "sandbox": lambda s: build_sandbox(SandboxSettings(**s)),
    "retriever": lambda s: build_retriever(RetrieverSettings(corpus_path=TINY / "corpus.jsonl", **s)),
    "teacher": lambda s: build_teacher(TeacherSettings(**s)),
    "trainer": lambda s: build_trainer(TrainerSettings(**s)),
    "evaluator": lambda s: build_evaluator(EvaluatorSettings(**s)),
    "console": lambda s: build_console(ConsoleSettings(**s)),
    "model": lambda s: build_model(ModelServerSettings(model=str(TINY / "checkpoints" / "student"), **s)),
}


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_JOBS_STORE", str(tmp_path / "store"))
    assert JobSettings().store == str(tmp_path / "store")


def documented(service: str) -> dict[str, Role]:
    """Paths and RPCs of a service with their role, from the table."""
    found: dict[str, Role] = {}
    for line in (ROOT / "docs" / "security.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and service in cells[0].split(", "):
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[2] + cells[3]), Role(cells[1].strip("`")))
    return found


def stated(service: Service) -> dict[str, Role | None]:
    """Paths and RPCs of a service with the role they ask for, from the code."""
    paths = create_app(service).state.roles.stated()
    pool = descriptor_pool.Default()
    rpcs = {
        f"{binding.full_name.rpartition('.')[2]}/{method.name}": binding.role
        for binding in service.rpcs
        for method in pool.FindServiceByName(binding.full_name).methods
    }
    return paths | rpcs


@pytest.mark.parametrize("name", BUILDERS)
def test_the_documented_table_is_what_every_service_asks_for(name: str) -> None:
    found = stated(BUILDERS[name]({}))
    free = {path for path, role in found.items() if role is None}
    assert free == OPEN_PATHS | {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
    assert {path: role for path, role in found.items() if role is not None} == documented(name)


@pytest.mark.parametrize("name", ["retriever", "teacher"])
async def test_every_path_and_rpc_refuses_who_lacks_its_role(name: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("".join(f"{role}: {{key: {key}, roles: [{role}]}}\n" for role, key in KEYS.items()))
    settings: dict[str, Any] = {"port": 0, "grpc_port": 0, "access_log": False, "MENTOR_API_KEYS_FILE": keys}
    service = BUILDERS[name](settings)
    async with (
        running(service) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False, timeout=30) as client,
        grpc.aio.insecure_channel(str(server.grpc_target)) as channel,
    ):
        for asked, role in documented(name).items():
            for other in set(Role) - {role, Role.OPERATE}:
                token = f"Bearer {KEYS[other]}"
                if asked.startswith("/"):
                    path = re.sub(r"\{[^}]+\}", "x", asked)
                    answer = await client.post(path, headers={"authorization": token}, json={})
                    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), asked
                    assert answer.json()["error"]["allowed"] == role and other in answer.text
                else:
                    call = channel.unary_unary(f"/mentor.rpc.v1.{asked}")
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await call(b"", metadata=(("authorization", token),), timeout=20)
                    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED, asked
                    assert str(role) in str(caught.value.details())
