"""From a spec to a model that can be asked and tools that can be called: shared by teacher and evaluator.

Which model: an OpenAI-compatible endpoint (``url``), or a folder in Hugging Face format (``path``), which the local
engine loads into this process, or which a model server of the job's own serves (``serve``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from mentor.chat import ChatFormat, load_format
from mentor.data.files import check_readable
from mentor.errors import UserError
from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, OpenAITokenClient
from mentor.inference.pool import EndpointPool, Member
from mentor.inference.pool.concurrency import AdaptiveLimit
from mentor.inference.pool.reporting import reported
from mentor.inference.servers.spec import ServeSpec
from mentor.inference.servers.watch import Watch
from mentor.reach import Reach
from mentor.reach.own import retriever_target, sandbox_target
from mentor.rollout.chat_policy import ChatPolicy
from mentor.rollout.driver import ToolsetFactory
from mentor.rollout.policy import Policy, TokenPolicy
from mentor.rpc.credentials import secret
from mentor.rpc.retry import RetryPolicy
from mentor.tools.builtin import MATH_TOOLS
from mentor.tools.registry import ToolRegistry
from mentor.tools.source import load_tools
from mentor.tools.spec import ToolSpec
from mentor.tools.toolbox import ToolBox
from mentor.trajectory import Frozen


class Replica(Frozen):
    """A further endpoint of a model; ``name`` is the first one's where it is not given. A key goes only where it is named."""

    url: Annotated[str, Reach.MODEL]
    name: str | None = None
    api_key_env: Annotated[str | None, Reach.VARIABLE] = None

    @model_validator(mode="before")
    @classmethod
    def _plain_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _http(self) -> Self:
        _require_http("url", self.url)
        return self


class ModelSource(Frozen):
    """A model: exactly one of ``url`` (with ``name``) and ``path``.

    ``mode``: ``token`` (ids in, ids out; needs ``tokenizer`` for a URL), ``chat`` (the server renders and parses), or
    ``auto``: token for a path or where a tokenizer is given, else chat. ``serve``: the job starts a model server for the
    path, and ends it. ``template_kwargs`` (``enable_thinking``) go into the chat template, here or at the server.
    ``send_reasoning``: reasoning that a chat server gave apart goes back to it with the turn (interleaved thinking).
    """

    url: Annotated[str | None, Reach.MODEL] = None
    name: str | None = None
    replicas: tuple[Replica, ...] = Field(
        default=(),
        max_length=256,
        description="further endpoints of the same model: a URL, or {url, name, api_key_env}",
    )
    path: Annotated[str | None, Reach.PATH] = None
    serve: ServeSpec | None = Field(default=None, description="a model server that the job starts for `path`")
    mode: Literal["auto", "token", "chat"] = "auto"
    tokenizer: Annotated[str | None, Reach.PATH] = None
    chat_format: str = "auto"
    system: str | None = None
    api_key_env: Annotated[str | None, Reach.VARIABLE] = Field(
        default=None,
        description="environment variable of the worker that holds the endpoint's key, or with _FILE its file",
    )
    threads: int = Field(default=1, ge=1, description="CPU threads of the local engine")
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    send_reasoning: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError(
                "give either url (an OpenAI-compatible endpoint) or path (a folder in Hugging Face format)"
            )
        if self.url is not None:
            _require_http("url", self.url)
        if self.replicas and self.url is None:
            raise ValueError("replicas go with url: they are further endpoints of the same model")
        if self.url is not None and not self.name:
            raise ValueError("name is missing: the model's id at the endpoint")
        if self.serve is not None and self.path is None:
            raise ValueError("serve goes with path: a server at a url is started by somebody else")
        if self.path is not None and self.serve is None and self.mode == "chat":
            raise ValueError("mode is chat; allowed: token or auto, or serve beside path (a server renders and parses)")
        if self.url is not None and self.mode == "token" and self.tokenizer is None:
            raise ValueError("tokenizer is missing: token mode renders here, so it needs the model's tokenizer folder")
        return self

    @property
    def label(self) -> str:
        """Name for reports."""
        return self.name or Path(self.path or "").name

    def check(self, field: str = "model") -> None:
        """Refuse a path that holds no model.

        Raises:
            UserError: naming ``field``.
        """
        for name in filter(None, (self.path, self.tokenizer)):
            folder = Path(name)
            if not folder.is_dir():
                raise UserError(
                    f"{folder} is not a folder", field=f"{field}.path", allowed="a Hugging Face model folder"
                )
            wanted = "config.json" if name == self.path else "tokenizer_config.json"
            check_readable(folder / wanted, f"{field}.path")


class ToolBackends(Frozen):
    """Where tools run. ``host:port`` is gRPC, ``http://...`` is REST; defaults come from the environment.

    ``deadline_s``: seconds that one call may keep trying through an outage before its trajectory is set aside.
    """

    sandbox: Annotated[str, Reach.SERVICE] = Field(default_factory=sandbox_target)
    retriever: Annotated[str, Reach.SERVICE] = Field(default_factory=retriever_target)
    deadline_s: float = Field(default=60.0, gt=0)


def registry_for(
    tools_file: str | None, search_url: str | None = None, sandbox_tools: Sequence[ToolSpec] = ()
) -> ToolRegistry:
    """Built-in tools and those of a user's ``tools.py``; tools of the sandbox are offered beside those offered by default."""
    own = load_tools(Path(tools_file)) if tools_file else []
    if not sandbox_tools:
        return ToolRegistry(own, search_url)
    default = (*(own or MATH_TOOLS), *sandbox_tools)
    return ToolRegistry((*own, *sandbox_tools), search_url, tuple(tool.name for tool in default))


@asynccontextmanager
async def open_toolsets(backends: ToolBackends, registry: ToolRegistry) -> AsyncIterator[ToolsetFactory]:
    """A factory of toolsets over shared connections, closed at the end."""
    retry = RetryPolicy(attempts=64, deadline_s=backends.deadline_s)
    box = ToolBox(registry, backends.sandbox, backends.retriever, retry)
    try:
        yield box.toolset
    finally:
        await box.close()


def _require_http(field: str, url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{field} is {url!r}; allowed: http://... or https://...")


@asynccontextmanager
async def open_policy(
    source: ModelSource, watch: Watch | None = None, adaptive_up_to: int | None = None
) -> AsyncIterator[Policy]:
    """The model, connected, loaded or served, and let go at the end.

    Args:
        watch: the job's context: it keeps the log of a server that is started, and hears how servers are.
        adaptive_up_to: find how much each endpoint bears, up to so many requests at once; None leaves that to the caller.

    Raises:
        UserError: the path holds no usable model, or the endpoint does not serve ``name``.
        InfrastructureError: the endpoint cannot be reached, or the server cannot be kept up: then the block is cancelled.
        Stopped: the job was told to stop while the server was being started.
    """
    source.check()
    if source.serve is not None:
        async with _served_policy(source, source.serve, watch, adaptive_up_to) as policy:
            yield policy
        return
    if source.path is not None:
        async with _local_policy(source) as policy:
            yield policy
        return
    members = [Member(OpenAIServer(one), urlsplit(one.url).netloc) for one in endpoints(source)]
    async with _pooled(source, members, _chat_format(source), watch, adaptive_up_to) as policy:
        yield policy


def endpoints(source: ModelSource) -> Iterator[Endpoint]:
    """Where a model at URLs is served, first the one of ``url``; raises ``UserError`` where a key is not there."""
    first = Replica(url=source.url or "", name=source.name, api_key_env=source.api_key_env)
    for one in (first, *source.replicas):
        key = _key(one.api_key_env) if one.api_key_env else None
        yield Endpoint(url=one.url, model=one.name or source.name or "", api_key=key)


@asynccontextmanager
async def _pooled(
    source: ModelSource,
    members: Sequence[Member],
    chat_format: ChatFormat | None,
    watch: Watch | None,
    adaptive_up_to: int | None,
) -> AsyncIterator[Policy]:
    """Endpoints as one policy: token mode where there is a chat format, else chat."""
    if adaptive_up_to is not None:
        for member in members:
            member.adaptive = AdaptiveLimit(adaptive_up_to)
    pool = EndpointPool(members)
    try:
        await pool.check()
        enter = pool.enter if adaptive_up_to is not None else None
        async with reported(pool, watch):
            if chat_format is None:
                client = OpenAIChatClient(pool, source.template_kwargs)
                yield ChatPolicy(client, source.label, source.system, pool.context_limit, source.send_reasoning, enter)
            else:
                tokens = OpenAITokenClient(pool)
                yield TokenPolicy(tokens, chat_format, source.label, source.system, pool.context_limit, enter)
    finally:
        await pool.close()


def _chat_format(source: ModelSource) -> ChatFormat | None:
    """What renders conversations here; None where the server does."""
    folder = source.tokenizer or source.path
    if folder is None or source.mode == "chat":
        return None
    return load_format(_tokenizer(folder), source.chat_format, **source.template_kwargs)


def _key(variable: str) -> str:
    key = secret(variable)
    if key is None:
        message = f"the job's environment has neither {variable} nor {variable}_FILE"
        raise UserError(message, field="model.api_key_env", allowed="a variable that the worker has")
    return key


@asynccontextmanager
async def _served_policy(
    source: ModelSource, serve: ServeSpec, watch: Watch | None, adaptive_up_to: int | None
) -> AsyncIterator[Policy]:
    from mentor.inference.servers.serving import serving

    chat_format = _chat_format(source)  # before the server: what cannot be rendered is refused while nothing is spent
    folder = Path(source.path or "")
    async with serving(serve, folder, source.label, threads=source.threads, watch=watch) as clients:
        members = [Member(client, client.server.label) for client in clients]
        async with _pooled(source, members, chat_format, watch, adaptive_up_to) as policy:
            yield policy


@asynccontextmanager
async def _local_policy(source: ModelSource) -> AsyncIterator[Policy]:
    from mentor.inference.local import LocalEngine

    chat_format = load_format(_tokenizer(source.path or ""), source.chat_format, **source.template_kwargs)
    engine = LocalEngine(source.path or "", threads=source.threads)
    try:
        yield TokenPolicy(engine, chat_format, source.label, source.system, engine.context_length)
    finally:
        await engine.close()


def _tokenizer(path: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no usable tokenizer: {str(error).splitlines()[0]}", field="model") from error
