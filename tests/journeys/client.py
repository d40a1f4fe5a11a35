"""A customer's client that only uses `requests`: makes each call of the API contract, prints the responses as JSON."""

import contextlib
import json
import sys

import requests

base, image_url, callback_url, png, pdf, corrupt = sys.argv[1:]


def await_end(accepted):
    task = {"status": "queued"}
    while task["status"] in ("queued", "processing"):
        task = requests.get(f"{base}/task/{accepted['task_id']}?wait=20", timeout=60).json()
    return task


with contextlib.ExitStack() as stack:
    files = {path: stack.enter_context(open(path, "rb")) for path in (png, pdf, corrupt)}

    def post(path, **arguments):
        for file in files.values():
            file.seek(0)
        return requests.post(base + path, timeout=120, **arguments)

    ocr = post("/ocr", files={"image": files[png]})
    batch = post("/ocr/batch", files=[("images", file) for file in files.values()])
    by_url = post("/ocr/async", json={"image_url": image_url, "callback_url": callback_url})
    by_upload = post(
        "/ocr/async",
        data={"callback_url": callback_url},
        files=[("images", files[png]), ("images", files[pdf])],
    )
    responses = {"ocr": ocr, "batch": batch, "by_url": by_url, "by_upload": by_upload}
    summary = {
        name: {"status": response.status_code, "location": response.headers.get("Location"), "body": response.json()}
        for name, response in responses.items()
    }
    summary["tasks"] = [await_end(response.json()) for response in (by_url, by_upload)]
    json.dump(summary, sys.stdout)
