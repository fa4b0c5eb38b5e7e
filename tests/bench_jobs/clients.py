"""Measures throughput and latency of a real web server with fifty concurrent clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import httpx
import numpy as np

from tests.bench_jobs.backends import Backend, web_of

CLIENTS = 50
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """Throughput and latency of one kind of request."""

    requests: int
    refused: int
    per_second: float
    median_ms: float
    p99_ms: float


def measure_clients(
    backend: Backend, *, submissions: int, polls: int
) -> tuple[ClientFigures, ClientFigures]:
    """Measure submissions of a small image, and polls of the jobs that they created."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = cv2.imencode(".png", picture)[1].tobytes()
    jobs: list[str] = []
    with web_of(backend) as url:

        def submit(client: httpx.Client, number: int) -> bool:
            response = client.post(
                "/api/v1/jobs", files={"files": (f"{number}.png", image, "image/png")}
            )
            if response.status_code == 201:
                jobs.append(response.json()["id"])
            return response.status_code == 201

        def poll(client: httpx.Client, number: int) -> bool:
            return client.get(f"/api/v1/jobs/{jobs[number % len(jobs)]}").status_code == 200

        _measure(url, submit, CLIENTS)  # warms up connections and caches
        submitted = _measure(url, submit, submissions)
        return submitted, _measure(url, poll, polls)


def _measure(url: str, request: Callable[[httpx.Client, int], bool], count: int) -> ClientFigures:
    """Send `count` requests from all clients at once."""
    numbers = iter(range(count))
    lock = threading.Lock()
    times: list[float] = []
    refused = []

    def work() -> None:
        with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                sent = time.perf_counter()
                try:
                    succeeded = request(client, number)
                except httpx.TimeoutException:
                    succeeded = False
                if not succeeded:
                    refused.append(number)
                times.append((time.perf_counter() - sent) * 1000)

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for future in [pool.submit(work) for _ in range(CLIENTS)]:
            future.result()
    seconds = time.perf_counter() - started
    times.sort()
    return ClientFigures(
        requests=count,
        refused=len(refused),
        per_second=(count - len(refused)) / seconds,
        median_ms=times[len(times) // 2],
        p99_ms=times[min(len(times) - 1, round(0.99 * len(times)))],
    )
