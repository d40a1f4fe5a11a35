"""The pools: what the well-behaved tenant asks of each, and how the other misuses it."""

import threading
import time
import uuid
from dataclasses import dataclass
from typing import Callable

from sharing.documents import pdf, png, slow_page, slow_validation


@dataclass
class Pool:
    name: str
    # Returns a function that sends one request of B and waits for what B is interested in.
    probe: Callable
    # Starts A's requests in the background, until an event is set.
    misuse: Callable
    workers: int = 0
    # How long A's requests take to reach the pool.
    settle_secs: float = 2


def in_background(stop, threads, work):
    """Calls `work` again and again in many threads. Errors are those of a client that does not care."""
    def repeat():
        while not stop.is_set():
            try:
                work()
            except OSError:
                stop.wait(0.05)
    for _ in range(threads):
        threading.Thread(target=repeat, daemon=True).start()


def pdf_probe(client, _):
    document = pdf()
    return lambda: client.post_files("/ocr/async", [document])


def image_probe(client, _):
    image = png(40, 40)
    return lambda: client.post_files("/ocr/async", [image])


def validate_slow_pdfs(client, _, stop):
    """eight clients send PDFs that take seconds to validate"""
    document = slow_validation()
    in_background(stop, 8, lambda: client.post_files("/ocr/async", [document]))


def url_probe(client, slow):
    def fetch():
        task = client.post_json("/ocr/async", {"image_url": f"{slow.url}/fast"})["task_id"]
        await_pages(client, task)
    return fetch


def fetch_slow_urls(client, slow, _):
    """100 documents come from a server that sends one byte per second"""
    for _ in range(100):
        client.post_json("/ocr/async", {"image_url": f"{slow.url}/drip"})


def cancel_slow_urls(client, slow, _):
    """100 such documents, canceled after two seconds"""
    tasks = [client.post_json("/ocr/async", {"image_url": f"{slow.url}/drip"})["task_id"] for _ in range(100)]
    time.sleep(2)
    for task in tasks:
        client.post_json(f"/task/{task}/cancel", {})


def read_probe(client, _):
    task = client.post_files("/ocr/async", [png(40, 40)])["task_id"]
    return lambda: client.get(f"/task/{task}")


def read_large_tasks(client, _, stop):
    """16 clients poll a task of 3,000 pages and list its pages"""
    task = client.post_files("/ocr/async", [pdf(pages=3000)])["task_id"]
    in_background(stop, 12, lambda: client.get(f"/task/{task}"))
    in_background(stop, 4, lambda: client.get(f"/task/{task}/pages?limit=1000"))


def webhook_test_probe(client, slow):
    return lambda: client.post_json("/webhooks/test", {"url": f"{slow.url}/hook"})


def test_hanging_webhooks(client, slow, stop):
    """64 clients test a webhook that never answers"""
    in_background(stop, 64, lambda: client.post_json("/webhooks/test", {"url": f"{slow.url}/hang"}))


def callback_probe(client, slow):
    def await_callback():
        path = f"/hook/{uuid.uuid4().hex}"
        end_task(client, slow, path)
        slow.await_hook(path, client.patience)
    return await_callback


def call_hanging_receivers(client, slow, stop):
    """400 callbacks go to 50 receivers that never answer"""
    def send():
        for number in range(400):
            if not stop.is_set():
                end_task(client, slow, f"/hang/{number % 50}")
    threading.Thread(target=send, daemon=True).start()


def end_task(client, slow, hook):
    """Creates a task and cancels it, which sends its callback."""
    body = {"image_url": f"{slow.url}/hang", "callback_url": slow.url + hook}
    task = client.post_json("/ocr/async", body)["task_id"]
    client.post_json(f"/task/{task}/cancel", {})


def page_probe(client, _):
    image = png(600, 800)
    return lambda: client.post_files("/ocr", [image])


def render_slow_pages(client, _, stop):
    """40 pages take minutes to render"""
    document = slow_page()
    for _ in range(4):
        client.post_files("/ocr/async", [document] * 10)


def read_many_pages(client, _, stop):
    """ordinary pages, always a hundred in the queue"""
    images = [png(600, 800 + number) for number in range(20)]
    def submit():
        for _ in range(40):
            if not stop.is_set():
                client.post_files("/ocr/async", images)
    threading.Thread(target=submit, daemon=True).start()


def await_pages(client, task):
    """Waits until the task's document is split."""
    deadline = time.monotonic() + client.patience
    while not client.get(f"/task/{task}/pages")["pages"]:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


POOLS = [
    Pool("validation", pdf_probe, validate_slow_pdfs),
    Pool("images", image_probe, validate_slow_pdfs),
    Pool("fetch", url_probe, fetch_slow_urls),
    Pool("canceled", url_probe, cancel_slow_urls),
    Pool("reads", read_probe, read_large_tasks),
    Pool("webhook test", webhook_test_probe, test_hanging_webhooks),
    Pool("callbacks", callback_probe, call_hanging_receivers, settle_secs=5),
    Pool("pages", page_probe, read_many_pages, workers=1, settle_secs=3),
    Pool("rendering", page_probe, render_slow_pages, workers=1, settle_secs=3),
]
