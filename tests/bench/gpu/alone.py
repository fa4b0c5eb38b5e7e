"""Measures each step alone on the device, and networks in eager mode, as CUDA graphs, compiled."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.values import Boxes, Frame, Picture
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.detector.centerface.torch_network import read_centerface
from faces_jobs_models.detector.yunet import YuNet, YuNetConfig
from faces_jobs_models.networks import build_network
from faces_jobs_models.on_device.area_resize import resize_area
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.torch_weights import load_weights
from tests.bench.stages import KeptFaces

CROPS = (8, 40, 160, 256)
FRAMES = (1, 3, 8, 16)
WORKING = (384, 640)  # height and width of the detector's input for 16:9
_WARM_UP, _REPEATS = 3, 15  # on a GPU; on a CPU one run only shows that this works
_ADVICE = "Fetch the repository again."


def milliseconds(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Return medians: until the device is done (`wall`), until the call returns, and by events."""
    wall, call, events = [], [], []
    for _ in range(_WARM_UP if device.type == "cuda" else 0):
        work()
    for _ in range(_REPEATS if device.type == "cuda" else 1):
        _synchronize(device)
        begin, end = _event(device), _event(device)
        started = time.perf_counter()
        _record(begin)
        work()
        call.append((time.perf_counter() - started) * 1000)
        _record(end)
        _synchronize(device)
        wall.append((time.perf_counter() - started) * 1000)
        if begin is not None and end is not None:
            events.append(begin.elapsed_time(end))
    figures = {"wall": statistics.median(wall), "call": statistics.median(call)}
    if events:
        figures["events"] = statistics.median(events)
    return figures


def steps(catalog: Catalog, frames: Sequence[Frame], faces: KeptFaces) -> dict[str, object]:
    """Measure the pipeline's steps for one batch, each with its inputs on the device already."""
    device = torch.device(catalog.device)
    pictures = [frame.picture_bgr for frame in frames]
    detector, cropper = catalog.detector(), catalog.cropper()
    classifiers = catalog.classifiers(tuple(MODELS))
    boxes = [_boxes(faces, frame) for frame in frames]
    first = classifiers[0]

    def crop() -> list[Picture]:
        return cropper(pictures, boxes, scale=first.crop_scale, size=first.crop_size)

    crops = crop()
    figures: dict[str, object] = {"frames": len(frames), "crops": len(crops)}
    device_pictures = DevicePictures(device)
    figures["copy"] = milliseconds(
        lambda: device_pictures.copies_of([one.copy() for one in pictures]), device
    )
    on_device = torch.stack(device_pictures.copies_of(pictures))
    height, width = pictures[0].shape[:2]
    resized_height = round(height * WORKING[1] / width)
    with torch.inference_mode():
        figures["shrink"] = milliseconds(
            lambda: resize_area(on_device, WORKING[1], resized_height), device
        )
    figures["detect, with what is around it"] = milliseconds(
        lambda: detector.detect(pictures), device
    )
    figures["crop"] = milliseconds(crop, device)
    for classifier in classifiers:
        classify = partial(classifier.classify, crops)
        figures[f"classify, {classifier.name}"] = milliseconds(classify, device)
    return figures


def networks(catalog: Catalog) -> Iterator[tuple[str, nn.Module, list[Tensor]]]:
    """Yield the detector's bare network with inputs; with our own, the classifiers' as well."""
    device = torch.device(catalog.device)
    generator = torch.Generator().manual_seed(1)

    def noise(count: int, *size: int) -> Tensor:
        return (torch.rand(count, 3, *size, generator=generator) * 255).to(device)

    record = catalog.record("detector")
    frames = [noise(count, *WORKING) for count in FRAMES]
    if catalog.detector_choice == "centerface":
        yield record.name, read_centerface(record.files["onnx"].path).to(device).eval(), frames
        return
    detector = YuNet(YuNetConfig.from_options(record.network))
    load_weights(detector, record, advice=_ADVICE)
    yield record.name, detector.to(device).eval(), frames
    for name in MODELS:
        record = catalog.record(name)
        network = build_network(record.heads, record.network)
        load_weights(network, record, advice=_ADVICE)
        yield name, network.to(device).eval(), [noise(count, 64, 64) for count in CROPS]


def eager_and_graph(network: nn.Module, batch: Tensor) -> dict[str, object]:
    """Measure a network in float32, under autocast and in half precision, and as CUDA graphs."""
    device = batch.device
    figures: dict[str, object] = {}
    with torch.inference_mode():
        figures["autocast"] = milliseconds(lambda: _run(network, batch), device)
        with torch.autocast(device.type, enabled=False):
            figures["float32"] = milliseconds(lambda: network(batch), device)
        for name, work in {
            "graph of float32": lambda: network(batch),
            "graph of autocast": lambda: _run(network, batch),
            **_half_precision(network, batch),
        }.items():
            if not name.startswith("graph"):
                figures[name] = milliseconds(work, device)
            elif device.type == "cuda":
                try:
                    figures[name] = milliseconds(_captured(work).replay, device)
                except RuntimeError as error:  # the other figures are kept
                    figures[name] = str(error)
    return figures


def _half_precision(network: nn.Module, batch: Tensor) -> dict[str, Callable[[], object]]:
    """Return runs with weights in half precision, in both memory formats."""
    half, half_batch = copy.deepcopy(network).half(), batch.half()
    half_last = copy.deepcopy(half).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave it out
    half_batch_last = half_batch.to(memory_format=torch.channels_last)
    return {
        "half": lambda: half(half_batch),
        "half, channels last": lambda: half_last(half_batch_last),
        "graph of half, channels last": lambda: half_last(half_batch_last),
    }


def _captured(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def compiled(network: nn.Module, batch: Tensor) -> dict[str, object]:
    """Measure a network with `torch.compile`, and the seconds that compiling takes."""
    compiled_network = torch.compile(network, mode="reduce-overhead")
    started = time.perf_counter()
    with torch.inference_mode():
        _run(compiled_network, batch)
        _synchronize(batch.device)
        seconds = time.perf_counter() - started
        return {
            "seconds_to_compile": seconds,
            "compiled": milliseconds(lambda: _run(compiled_network, batch), batch.device),
        }


@contextmanager
def _half(device: torch.device) -> Iterator[None]:
    # No cache: cached weights would be in a graph's memory pool.
    with torch.autocast(
        device.type, torch.float16, enabled=device.type == "cuda", cache_enabled=False
    ):
        yield


def _run(network: Callable[[Tensor], object], batch: Tensor) -> object:
    with _half(batch.device):
        return network(batch)


def _boxes(faces: KeptFaces, frame: Frame) -> Boxes:
    of_frame = faces.by_frame[frame.index]
    return np.array([face.record.box_xyxy for face in of_frame], np.float32).reshape(-1, 4)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _event(device: torch.device) -> torch.cuda.Event | None:
    return torch.cuda.Event(enable_timing=True) if device.type == "cuda" else None  # type: ignore[no-untyped-call]  # torch's own


def _record(event: torch.cuda.Event | None) -> None:
    if event is not None:
        event.record()
