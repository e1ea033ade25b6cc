"""Clients with roles: the keys file, the identity provider's claim, paths that state no role."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from mentor.errors import ForbiddenError, NotFoundError, UserError
from mentor.local.layout import is_open
from mentor.rpc.errors import from_grpc, from_http
from mentor.rpc.principal import ALL_ROLES, ANYONE, Principal, Role, caller
from mentor.serving.access import RoleTable
from mentor.serving.access.keys import DEFAULT_ROLES, KeyAuthenticator, read_keys
from mentor.serving.access.oidc import OidcAuthenticator
from tests.support.toy_service import ToySettings, execute, serving, toy

KEY = "a-key-of-some-length"


def keys_file(folder: Path, text: str) -> Path:
    file = folder / "keys.yaml"
    file.write_text(text)
    return file


async def test_a_client_is_known_by_a_key_its_digest_or_a_file_with_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key-from-a-secrets-file\n")
    digest = hashlib.sha256(b"key-known-by-its-digest").hexdigest()
    known = KeyAuthenticator(
        read_keys(
            keys_file(
                tmp_path,
                f"clear: {KEY}\nhashed: {{key_sha256: {digest}, roles: [operate]}}\n"
                f"filed: {{key_file: {tmp_path / 'secret'}, roles: [search], owner: team}}\n",
            )
        )
    )
    assert await known.principal(KEY) == Principal("key:clear", DEFAULT_ROLES)
    assert await known.principal("key-known-by-its-digest") == Principal("key:hashed", frozenset({Role.OPERATE}))
    assert await known.principal("key-from-a-secrets-file") == Principal("key:team", frozenset({Role.SEARCH}))
    assert await known.principal(digest) is None
    assert await known.principal("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: {key: long-enough-key-1234, roles: [admin]}", "a.roles"),
        ("a: {roles: [search]}", "exactly one"),
        (f"a: {{key: {KEY}, key_sha256: {'ab' * 32}}}", "exactly one"),
        ("a: {key_sha256: abc}", "a.key_sha256"),
        ("a: {key_file: /nowhere/key}", "cannot read /nowhere/key"),
        (f"a: {KEY}\nb: {KEY}", "one key to two clients"),
        (f"a: {{key: {KEY}, rules: []}}", "a.rules"),
        ("a: 7", "no keys for a"),
    ],
)
def test_a_keys_file_that_says_something_wrong_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        read_keys(keys_file(tmp_path, text))
    assert caught.value.field == "api_keys_file"


def test_roles_are_separate_and_operating_holds_them_all() -> None:
    searcher = Principal("key:s", frozenset({Role.SEARCH}))
    searcher.require(Role.SEARCH)
    for role in set(Role) - {Role.SEARCH}:
        with pytest.raises(ForbiddenError, match=f"needs the role {role}; key:s has: search"):
            searcher.require(role)
    for role in Role:
        Principal("key:o", frozenset({Role.OPERATE})).require(role)
    assert ANYONE.operator and ANYONE.roles == ALL_ROLES


@pytest.mark.parametrize(
    ("claim", "claims", "roles"),
    [
        ("mentor_roles", {}, DEFAULT_ROLES),
        ("mentor_roles", {"mentor_roles": ["operate", "drink coffee"]}, {Role.OPERATE}),
        ("mentor_roles", {"mentor_roles": "search run"}, {Role.SEARCH, Role.RUN}),
        ("mentor_roles", {"mentor_roles": []}, set()),
        ("mentor_roles", {"mentor_roles": {"operate": True}}, set()),
        ("realm_access.roles", {"realm_access": {"roles": ["submit"]}}, {Role.SUBMIT}),
        ("realm_access.roles", {"realm_access": "operate", "roles": ["operate"]}, DEFAULT_ROLES),
    ],
)
def test_a_token_has_the_roles_of_its_claim_and_never_operates_by_default(
    claim: str, claims: dict[str, Any], roles: set[Role]
) -> None:
    assert Role.OPERATE not in DEFAULT_ROLES
    assert OidcAuthenticator("i", "a", "http://127.0.0.1:1/jwks", claim)._roles(claims) == frozenset(roles)


async def test_a_wrong_role_is_403_and_permission_denied_naming_the_role(tmp_path: Path) -> None:
    file = keys_file(tmp_path, f"s: {{key: {KEY}, roles: [search]}}\nr: {{key: another-{KEY}, roles: [run]}}\n")
    settings = ToySettings(MENTOR_API_KEYS_FILE=file)  # type: ignore[call-arg]
    async with serving(toy(settings)) as (client, channel, _):
        refused = await client.get("/echo", headers={"authorization": f"Bearer {KEY}"})
        assert refused.status_code == 403 and isinstance(from_http(refused), ForbiddenError)
        assert refused.json()["error"] == {
            "code": "forbidden", "message": "this needs the role run; key:s has: search", "field": "role", "allowed": "run",
        }  # fmt: skip
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "echo", metadata=(("authorization", f"Bearer {KEY}"),))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert isinstance(from_grpc(caught.value), ForbiddenError)
        allowed = {"authorization": f"Bearer another-{KEY}"}
        assert (await client.get("/echo", headers=allowed)).status_code == 200
        await execute(channel, "echo", metadata=tuple(allowed.items()))
        assert (await client.get("/nothing/here", headers=allowed)).status_code == 404
        assert (await client.get("/docs", headers=allowed)).status_code == 200
        assert (await client.get("/health")).status_code == 200


async def test_whose_request_it_is_does_not_reach_the_next_one(tmp_path: Path) -> None:
    service = toy(ToySettings(MENTOR_API_KEYS_FILE=keys_file(tmp_path, f"r: {{key: {KEY}, roles: [run]}}")))  # type: ignore[call-arg]
    seen: list[str] = []
    service.readiness._checks["caller"] = lambda: seen.append(caller.get().name)
    async with serving(service) as (client, _, _):
        seen.clear()
        assert (await client.get("/echo", headers={"authorization": f"Bearer {KEY}"})).status_code == 200
        await client.get("/ready")
    assert seen and set(seen) == {""}


def test_a_path_without_a_role_is_not_served() -> None:
    app, router = FastAPI(), APIRouter()
    router.add_api_route("/known/{name}", lambda name: name)
    table = RoleTable(["/health"])
    table.include(app, router, Role.RUN)
    app.add_api_route("/forgotten", lambda: "open")
    assert (table.needed("/known/x"), table.needed("/known/x/"), table.needed("/health")) == (Role.RUN, Role.RUN, None)
    with pytest.raises(NotFoundError):
        table.needed("/forgotten")


def test_a_path_with_two_roles_and_what_is_no_plain_route_are_refused() -> None:
    app, router, mounted = FastAPI(), APIRouter(), APIRouter()
    router.add_api_route("/known", lambda: "")
    mounted.mount("/under", Starlette())
    table = RoleTable()
    table.include(app, router, Role.RUN)
    with pytest.raises(RuntimeError, match="two roles"):
        table.include(app, router, Role.SEARCH)
    with pytest.raises(RuntimeError, match="no plain route"):
        table.include(app, mounted, Role.RUN)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"MENTOR_API_KEY": ""}, True),
        ({"MENTOR_API_KEYS_FILE": "f"}, False),
        ({"MENTOR_OIDC_ISSUER": "i"}, False),
    ],
)
def test_a_local_stack_says_that_it_is_open_where_it_is(variables: dict[str, str], expected: bool) -> None:
    assert is_open(variables) is expected
