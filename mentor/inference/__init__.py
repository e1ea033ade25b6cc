"""Clients of model servers behind one small interface, and the local engine (``mentor.inference.local``)."""

from mentor.inference.base import ChatClient, ChatCompletion, Generation, SamplingParams, TokenClient
from mentor.inference.openai import Endpoint, OpenAIChatClient, OpenAIServer, OpenAITokenClient

__all__ = [
    "ChatClient",
    "ChatCompletion",
    "Endpoint",
    "Generation",
    "OpenAIChatClient",
    "OpenAIServer",
    "OpenAITokenClient",
    "SamplingParams",
    "TokenClient",
]
