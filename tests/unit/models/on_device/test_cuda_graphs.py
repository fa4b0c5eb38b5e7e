"""A recorded network answers as itself, whoever asks and however many inputs there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from faces_jobs_models.device import Device
from faces_jobs_models.on_device.cuda_graphs import ReplayedNetwork


class _Counting:
    """Two answers to each input; counts how often it was run."""

    def __init__(self, device: Device) -> None:
        torch.manual_seed(1)
        self.runs = 0
        self._convolution = nn.Conv2d(3, 5, 3, padding=1).to(device).eval()

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> list[Tensor]:
        self.runs += 1
        maps = self._convolution(batch)
        return [maps, maps.flatten(1).sum(dim=1, keepdim=True)]


@pytest.fixture
def network(device: Device) -> _Counting:
    return _Counting(device)


def _pictures(count: int, device: Device, *, side: int = 8) -> Tensor:
    chance = torch.Generator().manual_seed(count)
    return torch.rand(count, 3, side, side, generator=chance).to(device)


@torch.inference_mode()
def _check(replayed: ReplayedNetwork, network: _Counting, batch: Tensor) -> None:
    for want, got in zip(network(batch), replayed(batch), strict=True):
        assert got.shape == want.shape
        assert torch.allclose(got, want, atol=1e-5)


def test_it_answers_as_the_network_does(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device))
    for count in (3, 8, 1, 2, 5, 9, 3):
        _check(replayed, network, _pictures(count, device))
    # Of three inputs four places were made, which do for one and two as well; then eight, sixteen.
    assert len(replayed) == 3


def test_each_size_of_picture_has_its_own(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device))
    for side in (8, 12, 8, 12):
        _check(replayed, network, _pictures(2, device, side=side))
    assert len(replayed) == 2


def test_answers_are_the_callers_own(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device))
    one, other = _pictures(2, device), _pictures(4, device)[2:]
    with torch.inference_mode():
        [_, first] = replayed(one)
        kept = first.clone()
        replayed(other)
        assert torch.equal(first, kept)


def test_few_inputs_take_the_least_places(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device), min_batch=16)
    for count in (1, 3, 16):
        _check(replayed, network, _pictures(count, device))
    assert len(replayed) == 1


def test_what_was_not_used_longest_goes(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device), max_graphs=2)
    for side in (8, 12, 8, 16):
        _check(replayed, network, _pictures(1, device, side=side))
    assert len(replayed) == 2
    runs = network.runs
    with torch.inference_mode():
        replayed(_pictures(1, device, side=12))  # is recorded again
    assert network.runs > runs


def test_threads_get_what_they_asked_for(network: _Counting, device: Device) -> None:
    replayed = ReplayedNetwork(network, torch.device(device))

    def ask(count: int) -> None:
        _check(replayed, network, _pictures(count, device))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, [1 + number % 8 for number in range(64)]))


def test_a_gpu_replays_in_place_of_running(network: _Counting, device: Device) -> None:
    if device != "cuda":
        pytest.skip("elsewhere the network itself is run")
    replayed = ReplayedNetwork(network, torch.device(device))
    with torch.inference_mode():
        replayed(_pictures(4, device))
        runs = network.runs
        for _ in range(5):
            replayed(_pictures(4, device))
    assert network.runs == runs
