"""Replaces generated values by valid ones that Schemathesis cannot guess: ids, callback URLs and an image.

`QUIRE_KNOWN` has these values as JSON. Only positive test cases are changed, and not all of them, so that unknown ids
are tested too.
"""

import base64
import json
import os
import zlib

import schemathesis

KNOWN = json.loads(os.environ["QUIRE_KNOWN"])
PICTURE = base64.b64decode(KNOWN["picture"])
# One of this many positive test cases stays unchanged.
UNCHANGED_SHARE = 5


def choice(case, of):
    """Returns one of these values, or `None` for some cases. Deterministic: depends only on the generated case."""
    seed = zlib.crc32(f"{case.path_parameters}{case.query}{case.body}".encode("utf-8", "replace"))
    return None if seed % UNCHANGED_SHARE == 0 or not of else of[seed // UNCHANGED_SHARE % len(of)]


@schemathesis.hook
def map_case(context, case):
    mode = case.meta.generation.mode if case.meta else None
    if mode is None or not mode.is_positive:
        return case
    ids = KNOWN["ids"].get(case.operation.definition.raw.get("operationId"), KNOWN["ids"])
    for name in case.path_parameters or {}:
        known = choice(case, ids.get(name, []))
        if known:
            case.path_parameters[name] = known
    if isinstance(case.body, dict):
        for name in ("url", "image_url", "callback_url"):
            if isinstance(case.body.get(name), str):
                case.body[name] = KNOWN[name]
        if choice(case, [1]):
            make_consistent(case.body)
            # Generated keys are often the same short string, which rejects requests as duplicates with another body.
            if "Idempotency-Key" in (case.headers or {}):
                case.headers["Idempotency-Key"] = str(zlib.crc32(str(case.body).encode("utf-8", "replace")))
    return case


def make_consistent(body):
    """Makes the members of a body consistent with each other and with this server, which the schema cannot express."""
    if "image" in body:
        body["image"] = PICTURE
    if "images" in body:
        body["images"] = [PICTURE]
    for name in ("engine", "keys", "language"):
        body.pop(name, None)
    if "mode" in body:
        body["mode"] = "text"
    if not body.get("callback_url"):
        body.pop("payload", None)
        body.pop("progress", None)
    if isinstance(body.get("redact"), str):
        body["redact"] = '{"kinds": ["email"]}'
    elif body.get("redact"):
        body["redact"] = {"kinds": ["email"]}
