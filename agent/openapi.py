"""`/api` as OpenAPI describes it, from the routes themselves: their paths, their docstrings, and what each takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from moho import __version__

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
BODIES: dict[str, dict[str, Any]] = {  # handler -> properties of its JSON body; those with a star are required
    "ask": {"request*": TEXT, "thread": TEXT, "focus": {"type": "array", "items": TEXT}},
    "decide": {"approved*": FLAG, "id*": TEXT, "fingerprint*": TEXT, "arguments": {"type": "object"}},
    "add_data": {"path": TEXT, "upload": TEXT, "name": TEXT, "hints": {"type": "object"}},
    "begin_upload": {"name*": TEXT, "size*": NUMBER},
    "say": {"verdict*": {"type": "string", "enum": ["good", "bad", "withdrawn"]}, "better": TEXT, "decision": NUMBER},
    "make_project": {"name*": TEXT},
    "stop": {},
}
QUERIES: dict[str, dict[str, Any]] = {
    "threads": {"q": TEXT}, "files": {"path": TEXT}, "events": {"after": NUMBER},
    "export": {"format": {"type": "string", "enum": ["py", "ipynb", "html"]}},
    "plot": {"width": NUMBER, "height": NUMBER, "clip": {"type": "number"}, "inline": NUMBER, "crossline": NUMBER},
}  # fmt: skip
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"code": TEXT, "message": TEXT, "hint": TEXT}, "required": ["code", "message"]}},
}


def document(routes: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """The document of these routes: (path, handler, method ...) each."""
    paths: dict[str, Any] = {}
    for path, handler, *methods in routes:
        plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
        name = handler.__name__
        parameters = [{"name": found, "in": "path", "required": True, "schema": TEXT} for found in re.findall(r"\{(\w+)\}", plain)]
        parameters += [{"name": key, "in": "query", "required": False, "schema": schema} for key, schema in QUERIES.get(name, {}).items()]
        for method in methods or ["GET"]:
            operation: dict[str, Any] = {
                "operationId": name, "summary": (handler.__doc__ or "").strip().splitlines()[0], "parameters": parameters,
                "responses": {
                    "2XX": {"description": "as it says"},
                    "4XX": {"description": "why not", "content": {"application/json": {"schema": ERROR}}},
                },
            }  # fmt: skip
            if name in BODIES and method == "POST":
                properties = {key.rstrip("*"): schema for key, schema in BODIES[name].items()}
                schema = {"type": "object", "properties": properties, "required": [key.rstrip("*") for key in BODIES[name] if key.endswith("*")]}
                operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            paths.setdefault(plain, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Moho", "version": __version__, "description": "What the page does, for programs. A bearer token says who asks."},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }
