"""What a customer's program does, with nothing but `requests`. Prints what it was answered, as JSON."""

import contextlib
import json
import sys

import requests

base, image_url, callback_url, png, pdf, corrupt = sys.argv[1:]


def ended(accepted):
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
    answers = {"ocr": ocr, "batch": batch, "by_url": by_url, "by_upload": by_upload}
    shown = {
        name: {"status": answer.status_code, "location": answer.headers.get("Location"), "body": answer.json()}
        for name, answer in answers.items()
    }
    shown["tasks"] = [ended(answer.json()) for answer in (by_url, by_upload)]
    json.dump(shown, sys.stdout)
