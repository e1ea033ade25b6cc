"""What the endpoints share: the engine with its tokenizer, rendering, and running the choices of a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar, cast

from starlette.requests import Request
from transformers import PreTrainedTokenizerBase

from mentor.chat.formats import ChatFormat, Tokenizer, load_format
from mentor.errors import ContextLengthError, NotFoundError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.engine import LocalEngine
from mentor.rpc.context import remaining

T = TypeVar("T")
_ROLES = ("system", "user", "assistant", "tool")


class ClientGone(Exception):
    """The caller has closed the connection; nobody will read an answer."""


class Backend:
    """One served model."""

    def __init__(self, engine: LocalEngine, tokenizer: PreTrainedTokenizerBase, name: str, timeout_s: float) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.name = name
        self.timeout_s = timeout_s
        self._template = cast(Tokenizer, tokenizer)
        self._format: ChatFormat | None = load_format(self._template) if tokenizer.chat_template else None

    def check_model(self, name: str | None) -> None:
        """Refuse a model that is not the served one; no name means the served one."""
        if name is not None and name != self.name:
            raise NotFoundError(f"the model {name!r} does not exist", field="model", allowed=self.name)

    def render(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], template_kwargs: dict[str, Any] | None = None
    ) -> list[int]:
        """Prompt ids of a conversation.

        Raises:
            UserError: a message or tool is malformed, or the model has no chat template.
        """
        if self._format is None:
            raise UserError(f"{self.name} has no chat template", field="model", allowed="POST /v1/completions")
        clean = [_clean_message(message, index) for index, message in enumerate(messages)]
        chosen = self._format
        if template_kwargs:
            chosen = ChatFormat(self._template, template_kwargs=template_kwargs)
        return chosen.render_prompt(clean, [_clean_tool(tool, index) for index, tool in enumerate(tools)])

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ids."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=skip_special))

    def spoken(self, generation: Generation) -> tuple[int, ...]:
        """Generated ids without the token that ended them."""
        return generation.token_ids[:-1] if generation.finish_reason == "stop" else generation.token_ids

    def budget(self, prompt: Sequence[int], asked: int | None, field: str = "max_tokens") -> int:
        """Tokens that may be generated after ``prompt``.

        Raises:
            ContextLengthError: the prompt fills the context, or more is asked for than is left.
        """
        left = self.engine.context_length - len(prompt)
        if left < 1:
            longest = self.engine.context_length - 1
            raise ContextLengthError(
                f"the prompt has {len(prompt)} tokens", field="prompt", allowed=f"at most {longest}"
            )
        if asked is not None and asked > left:
            raise ContextLengthError(f"{field} is {asked}", field=field, allowed=f"at most {left} after this prompt")
        return left if asked is None else asked

    async def run(self, prompt: Sequence[int], params: SamplingParams, n: int) -> list[Generation]:
        """``n`` generations of one prompt; a seed is spread over them."""
        timeout = remaining(self.timeout_s)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.engine.generate(prompt, choice_params(params, index), timeout_s=timeout))
                for index in range(n)
            ]
        return [task.result() for task in tasks]


def choice_params(params: SamplingParams, index: int) -> SamplingParams:
    """Parameters of the ``index``-th choice: the first has the request's own seed."""
    return params if params.seed is None else params.model_copy(update={"seed": params.seed + index})


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await ``work``, or cancel it as soon as the caller is gone.

    Raises:
        ClientGone: the connection was closed first.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return _unwrap(task)
    finally:
        watcher.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _unwrap(task: asyncio.Future[T]) -> T:
    """The result; of a failed group of choices, the first failure."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
    return task.result()


def _clean_message(message: dict[str, Any], index: int) -> dict[str, Any]:
    """A message as chat templates expect it: content as text, arguments of calls as objects."""
    role, field = message.get("role"), f"messages.{index}"
    if role == "developer":
        role = "system"
    if role not in _ROLES:
        raise UserError(f"{field}.role is {role!r}", field=f"{field}.role", allowed=", ".join(_ROLES))
    clean = {**message, "role": role, "content": _text(message.get("content"), f"{field}.content")}
    if message.get("tool_calls"):
        clean["tool_calls"] = [_clean_call(call, f"{field}.tool_calls") for call in message["tool_calls"]]
    elif message.get("content") is None:
        raise UserError(f"{field} has no content", field=f"{field}.content", allowed="a string")
    return clean


def _text(content: Any, field: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise UserError(f"{field} is not text", field=field, allowed="a string or parts of type text")


def _clean_call(call: Any, field: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UserError(f"{field}: a call has no function name", field=field)
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError as error:
            raise UserError(f"{field}: arguments are not JSON: {error.msg}", field=field) from error
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _clean_tool(tool: dict[str, Any], index: int) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UserError(f"tools.{index} has no function name", field=f"tools.{index}", allowed="OpenAI tool objects")
    return tool
