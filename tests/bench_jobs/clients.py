"""Measures a real web server under fifty concurrent clients: requests per second, latencies."""

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
    """Requests, failures, throughput and latencies of all clients together."""

    requests: int
    failed: int
    per_second: float
    median_ms: float
    p99_ms: float


def measure_clients(
    backend: Backend, *, submissions: int, polls: int
) -> tuple[ClientFigures, ClientFigures]:
    """Figures of submissions of a small image, and of polls of the resulting jobs."""
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

        _run_clients(url, submit, CLIENTS)  # warms up connections and caches
        submitted = _run_clients(url, submit, submissions)
        return submitted, _run_clients(url, poll, polls)


def _run_clients(
    url: str, request: Callable[[httpx.Client, int], bool], count: int
) -> ClientFigures:
    numbers = iter(range(count))
    numbers_lock = threading.Lock()
    times: list[float] = []
    failed: list[int] = []

    def work() -> None:
        with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                with numbers_lock:
                    number = next(numbers, None)
                if number is None:
                    return
                request_started = time.perf_counter()
                try:
                    succeeded = request(client, number)
                except httpx.TimeoutException:
                    succeeded = False
                if not succeeded:
                    failed.append(number)
                times.append((time.perf_counter() - request_started) * 1000)

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(work) for _ in range(CLIENTS)]:
            done.result()
    seconds = time.perf_counter() - started
    times.sort()
    return ClientFigures(
        requests=count,
        failed=len(failed),
        per_second=(count - len(failed)) / seconds,
        median_ms=times[len(times) // 2],
        p99_ms=times[min(len(times) - 1, round(0.99 * len(times)))],
    )
