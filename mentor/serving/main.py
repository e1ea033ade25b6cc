"""The command line that every service has: ``python -m mentor_NAME --host --port --grpc-port --config FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mentor.errors import MentorError, UserError
from mentor.serving.runner import serve
from mentor.serving.service import Service
from mentor.serving.settings import ServiceSettings, load_settings

S = TypeVar("S", bound=ServiceSettings)
EXIT_BAD_SETTINGS = 2
EXIT_CANNOT_START = 1


def main(
    name: str,
    settings_cls: type[S],
    build: Callable[[S], Service],
    argv: Sequence[str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> int:
    """Read settings, build the service, run it.

    Args:
        flags: further command-line flags (``--num_retriever``) and the setting each of them sets.

    Returns:
        0 after a drain, 1 if it could not start (a taken port), 2 for bad settings; each with one line on stderr.
    """
    args = _parser(name, flags or {}).parse_args(argv)
    try:
        settings = load_settings(settings_cls, _overrides(args), args.config)
        service = build(settings)
    except MentorError as error:
        return _complain(name, error, EXIT_BAD_SETTINGS)
    try:
        return serve(service)
    except UserError as error:
        taken = error.field in ("port", "grpc_port", "host")
        return _complain(name, error, EXIT_CANNOT_START if taken else EXIT_BAD_SETTINGS)
    except MentorError as error:
        return _complain(name, error, EXIT_CANNOT_START)


def _parser(name: str, flags: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"mentor_{name}",
        description=f"The {name} service. Settings also come from MENTOR_{name.upper()}_<SETTING> and the YAML file.",
    )
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", help="REST port; 0 takes a free one")
    parser.add_argument("--grpc-port", dest="grpc_port", help="gRPC port; 0 takes a free one, -1 means none")
    parser.add_argument("--log-level", dest="log_level", help="debug, info, warning or error")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="any other setting")
    for flag, setting in flags.items():
        parser.add_argument(flag, dest=setting)
    return parser


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    given = {k: v for k, v in vars(args).items() if k not in ("config", "set") and v is not None}
    for pair in args.set:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UserError(f"--set takes SETTING=VALUE, got {pair!r}", field="--set")
        given[key] = value
    return given


def _complain(name: str, error: MentorError, code: int) -> int:
    print(f"mentor_{name}: {error}", file=sys.stderr)
    return code
