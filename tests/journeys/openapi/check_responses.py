"""Makes every call of the API and validates each response against the server's OpenAPI description.

Prints the number of valid responses by call and status, as JSON. Fails at the first response that does not match.
"""

import json
import re
import sys
import time
import uuid

import jsonschema_rs
import requests

base, key, hook, image_url, picture = sys.argv[1:]
document = requests.get(f"{base}/openapi.json", timeout=60).json()
session = requests.Session()
session.headers["Authorization"] = f"Bearer {key}"
checked = {}


def template_of(path):
    """Returns the path template that matches this path; prefers the one with fewest parameters."""
    pattern = lambda template: re.sub(r"\{[^}]+\}", "[^/]+", template)
    matching = [template for template in document["paths"] if re.fullmatch(pattern(template), path.split("?")[0])]
    return min(matching, key=lambda template: template.count("{"))


def resolve(value):
    while "$ref" in value:
        target = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def validate(schema, value, what):
    schema = {**schema, "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, f"{what}: {errors}\n{json.dumps(value)[:4000]}"


def call(method, path, expected, **arguments):
    response = session.request(method, base + path, timeout=120, allow_redirects=False, **arguments)
    template, status = template_of(path), response.status_code
    what = f"{method} {template} {status}"
    allowed = (expected,) if isinstance(expected, int) else expected
    assert status in allowed, f"{what}, expected {expected}: {response.text[:2000]}"
    described = document["paths"][template][method.lower()]["responses"]
    assert str(status) in described, f"{what} is not described"
    for name, header in resolve(described[str(status)]).get("headers", {}).items():
        header = resolve(header)
        value = response.headers.get(name)
        assert value is not None or not header.get("required"), f"{what} has no header {name}"
        if value is not None:
            typed = int(value) if resolve(header["schema"]).get("type") == "integer" else value
            validate(header["schema"], typed, f"{what} {name}")
    content = described[str(status)].get("content")
    if content is None:
        assert not response.content, f"{what} must not have a body"
    else:
        media = response.headers["content-type"].split(";")[0]
        assert media in content, f"{what} has an undescribed media type {media}"
        if media.endswith("json"):
            validate(content[media]["schema"], response.json(), what)
    checked[what] = checked.get(what, 0) + 1
    return response


def await_end(task_id):
    for _ in range(100):
        task = call("GET", f"/task/{task_id}?wait=20", 200).json()
        if task["status"] not in ("queued", "processing"):
            return task
    raise AssertionError("timeout: the task does not end")


def await_callback(task_id, state):
    for _ in range(600):
        if call("GET", f"/task/{task_id}", 200).json()["callback"]["state"] == state:
            return
        time.sleep(0.1)
    raise AssertionError(f"timeout: the callback is not {state}")


redact = {"kinds": ["email", "phone"], "patterns": [{"name": "word", "regex": "\\w{3,}"}]}
image = open(picture, "rb").read()
file = ("card.png", image, "image/png")

# Submissions, with every option.
once = {"Idempotency-Key": str(uuid.uuid4())}
form = {"mode": "text", "tags": ["one", "two"], "retention_hours": "2", "redact": json.dumps(redact)}
read = call("POST", "/ocr", 200, data=form, files={"image": file}, headers=once).json()
again = call("POST", "/ocr", 200, data=form, files={"image": file}, headers=once)
assert again.headers["Idempotency-Replayed"] == "true" and again.json() == read
assert read["pages"][0]["redactions"], "nothing was redacted"
call("POST", "/ocr", 422, data={"tags": ["x"]}, files={"image": file}, headers=once)
call("POST", "/ocr/batch", 200, files=[("images", file), ("images", ("broken.png", b"broken", "image/png"))])
all_options = {
    "image_url": image_url, "callback_url": hook, "payload": "thin", "progress": True, "tags": ["three"],
    "retention_hours": 1, "redact": redact, "mode": "text",
}
task_id = call("POST", "/ocr/async", 202, json=all_options).json()["task_id"]
task = await_end(task_id)
assert task["status"] == "succeeded" and task["redacted"] and task["tags"] == ["three"], task
plain = call("POST", "/ocr/async", 202, data={"callback_url": hook}, files=[("images", file)]).json()["task_id"]
await_end(plain)
call("POST", "/uploads", 404, json={"content_type": "application/pdf", "bytes": 1})

# Tasks and results.
etag = call("GET", f"/task/{task_id}", 200).headers["etag"]
await_callback(task_id, "delivered")
etag = call("GET", f"/task/{task_id}", 200).headers["etag"]
call("GET", f"/task/{task_id}", 304, headers={"If-None-Match": etag})
for query in ("", "?limit=1", "?tag=three&status=succeeded&callback=delivered&created_after=2020-01-01T00:00:00Z"):
    assert call("GET", f"/task{query}", 200).json()["tasks"], query
for form in ("json", "text", "markdown", "hocr", "alto"):
    call("GET", f"/task/{task_id}/result?format={form}", 200)
call("GET", f"/task/{task_id}/result?format=pdf&wait=0", (200, 202))
call("GET", f"/task/{task_id}/result?format=pdf&wait=60", 200)
assert call("GET", f"/task/{task_id}/pages?status=succeeded", 200).json()["pages"][0]["text"]
call("POST", f"/task/{task_id}/retry", 409)
call("POST", f"/task/{task_id}/cancel", 409)
call("POST", f"/task/{task_id}/retry", 202, json={"pages": "all"})
await_end(task_id)
await_callback(task_id, "delivered")

# Deliveries and webhooks.
deliveries = call("GET", f"/task/{task_id}/deliveries", 200).json()["deliveries"]
ends = [delivery["id"] for delivery in deliveries if delivery["event"] == "task.succeeded"]
assert len(ends) == 2, deliveries
call("POST", f"/deliveries/{ends[0]}/resend", 202)
call("POST", f"/deliveries/{ends[1]}/resend", 409)
call("POST", "/webhooks/recover", 200, json={"since": "2020-01-01T00:00:00Z"})
assert call("POST", "/webhooks/test", 200, json={"url": hook}).json()["delivered"]
assert not call("POST", "/webhooks/test", 200, json={"url": "http://127.0.0.1:9/"}).json()["delivered"]
call("POST", "/webhooks/test", 422, json={"url": "https://10.0.0.1/"})
call("GET", "/webhooks/secret", 200)
call("POST", "/webhooks/secret/rotate", 200)
call("GET", "/webhooks/endpoints", 200)
call("POST", "/webhooks/endpoints/0123456789abcdef/enable", 404)

# Deletion and authentication.
call("DELETE", f"/task/{task_id}", 204)
call("GET", f"/task/{task_id}", 404)
del session.headers["Authorization"]
call("GET", f"/task/{plain}", 401)
call("GET", "/healthz", 200)
call("GET", "/openapi.json", 200)
json.dump(checked, sys.stdout)
