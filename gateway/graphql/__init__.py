"""GraphQL over HTTP, WebSocket and SSE at one address.

``endpoint.GraphQLEndpoint`` is what an application mounts. What a request may be is decided once, in ``engine``;
the transports only read it from the wire and write the answer.
"""

from gateway.graphql.authentication import Authentication
from gateway.graphql.endpoint import GraphQLEndpoint
from gateway.graphql.engine import EventId, MakeContext
from gateway.graphql.limits import Limits
from gateway.graphql.multipart import UploadedFile

__all__ = ["Authentication", "EventId", "GraphQLEndpoint", "Limits", "MakeContext", "UploadedFile"]
