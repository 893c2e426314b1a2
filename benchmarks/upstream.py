"""The upstream of Q5: 100 posts by 10 users, over HTTP and as fast as may be. Run as a process of its own."""

import os
from urllib.parse import parse_qs

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

USERS = [
    {"id": number, "name": f"User {number}", "username": f"user{number}", "email": f"user{number}@example.com"}
    for number in range(1, 11)
]
POSTS = [
    {"userId": (number - 1) // 10 + 1, "id": number, "title": f"Post {number}", "body": f"What post {number} says."}
    for number in range(1, 101)
]
_HEADERS = [(b"content-type", b"application/json")]


async def upstream(scope: Scope, _receive: Receive, send: Send) -> None:
    """``GET /posts?_limit=``, ``GET /posts?id=…`` and ``GET /users?id=…``; without ids, all of them."""
    if scope["type"] != "http":
        return
    asked = parse_qs(scope["query_string"].decode())
    found = {"/posts": POSTS, "/users": USERS}.get(scope["path"])
    if found is not None and "id" in asked:
        wanted = set(asked["id"])
        found = [row for row in found if str(row["id"]) in wanted]
    if found is not None and "_limit" in asked:
        found = found[: int(asked["_limit"][0])]
    body = orjson.dumps(found)
    status = 404 if found is None else 200
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        upstream,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
