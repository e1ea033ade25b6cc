"""Puts the retriever together."""

from __future__ import annotations

from mentor.rpc.principal import Role
from mentor.rpc.v1.retriever_pb2_grpc import add_RetrieverServiceServicer_to_server
from mentor.serving import RestBinding, RpcBinding, Service
from mentor.serving.metrics import new_registry
from mentor_retriever.admin import create_admin_router
from mentor_retriever.engine import Retriever
from mentor_retriever.rest import create_router
from mentor_retriever.rpc import FULL_NAME, RetrieverServicer
from mentor_retriever.settings import RetrieverSettings


def build(settings: RetrieverSettings) -> Service:
    """The service, not yet started; corpus and index are loaded when it starts."""
    registry = new_registry()
    retriever = Retriever(settings, registry)
    return Service(
        name="retriever",
        settings=settings,
        routers=(RestBinding(create_router(retriever), Role.SEARCH),),
        admin_routers=(create_admin_router(retriever),),
        rpcs=(
            RpcBinding(add_RetrieverServiceServicer_to_server, RetrieverServicer(retriever), FULL_NAME, Role.SEARCH),
        ),
        lifespan=retriever.lifespan,
        checks={"index": retriever.ready},
        health=retriever.health,
        registry=registry,
    )
