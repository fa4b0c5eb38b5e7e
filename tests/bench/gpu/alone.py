"""Measures each step alone on the device, by batch size, and the gain of CUDA graphs."""

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
from faces_jobs_models.on_device.area_resize import shrink_all
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.torch_weights import load_weights
from tests.bench.stages import KeptFaces

CROP_BATCHES = (8, 40, 160, 256)
FRAME_BATCHES = (1, 3, 8, 16)
DETECTOR_INPUT = (384, 640)  # height and width for 16:9
_WARM_UP, _REPEATS = 3, 15  # on a GPU; a CPU runs each step once, to test this code
_ADVICE = "Fetch the repository again."


def milliseconds(workload: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Median milliseconds until the device is done, until the call returns, and by CUDA events.

    Keys: `wall`, `call` and, on a GPU, `events`.
    """
    wall, called, events = [], [], []
    for _ in range(_WARM_UP if device.type == "cuda" else 0):
        workload()
    for _ in range(_REPEATS if device.type == "cuda" else 1):
        _synchronize(device)
        begin, end = _event(device), _event(device)
        started = time.perf_counter()
        _record(begin)
        workload()
        called.append((time.perf_counter() - started) * 1000)
        _record(end)
        _synchronize(device)
        wall.append((time.perf_counter() - started) * 1000)
        if begin is not None and end is not None:
            events.append(begin.elapsed_time(end))
    figures = {"wall": statistics.median(wall), "call": statistics.median(called)}
    if events:
        figures["events"] = statistics.median(events)
    return figures


def steps(catalog: Catalog, frames: Sequence[Frame], faces: KeptFaces) -> dict[str, object]:
    """Measure the steps of one batch, in the order of the pipeline, each with prepared inputs."""
    device = torch.device(catalog.device)
    pictures = [frame.picture_bgr for frame in frames]
    detector, cropper = catalog.detector(), catalog.cropper()
    classifiers = catalog.classifiers(tuple(MODELS))
    boxes = [_boxes(faces, frame) for frame in frames]
    first = classifiers[0]

    def cut() -> list[Picture]:
        return cropper(pictures, boxes, scale=first.crop_scale, size=first.crop_size)

    crops = cut()
    figures: dict[str, object] = {"frames": len(frames), "crops": len(crops)}
    copies = DevicePictures(device)
    figures["copy"] = milliseconds(lambda: copies.of([one.copy() for one in pictures]), device)
    on_device = torch.stack(copies.of(pictures))
    height, width = pictures[0].shape[:2]
    inner = round(height * DETECTOR_INPUT[1] / width)
    with torch.inference_mode():
        shrink = milliseconds(lambda: shrink_all(on_device, DETECTOR_INPUT[1], inner), device)
    figures["shrink"] = shrink
    figures["detect, with pre- and postprocessing"] = milliseconds(
        lambda: detector.detect(pictures), device
    )
    figures["crop"] = milliseconds(cut, device)
    for classifier in classifiers:
        classify = partial(classifier.classify, crops)
        figures[f"classify, {classifier.name}"] = milliseconds(classify, device)
    return figures


def networks(catalog: Catalog) -> Iterator[tuple[str, nn.Module, list[Tensor]]]:
    """Yield (name, network, input batches) of the detector and, if it is our own, the classifiers.

    The networks come without their pre- and postprocessing.
    """
    device = torch.device(catalog.device)
    generator = torch.Generator().manual_seed(1)

    def noise(count: int, *size: int) -> Tensor:
        return (torch.rand(count, 3, *size, generator=generator) * 255).to(device)

    record = catalog.record("detector")
    frames = [noise(count, *DETECTOR_INPUT) for count in FRAME_BATCHES]
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
        yield name, network.to(device).eval(), [noise(count, 64, 64) for count in CROP_BATCHES]


def eager_and_graph(network: nn.Module, batch: Tensor) -> dict[str, object]:
    """Measure float32, autocast and half-precision weights, each eagerly and as a CUDA graph."""
    device = batch.device
    figures: dict[str, object] = {}
    with torch.inference_mode():
        figures["autocast"] = milliseconds(lambda: _run(network, batch), device)
        with torch.autocast(device.type, enabled=False):
            figures["float32"] = milliseconds(lambda: network(batch), device)
        for name, workload in {
            "graph of float32": lambda: network(batch),
            "graph of autocast": lambda: _run(network, batch),
            **_half_precision(network, batch),
        }.items():
            if not name.startswith("graph"):
                figures[name] = milliseconds(workload, device)
            elif device.type == "cuda":
                try:
                    figures[name] = milliseconds(_captured(workload).replay, device)
                except RuntimeError as error:  # the other figures are kept
                    figures[name] = str(error)
    return figures


def _half_precision(network: nn.Module, batch: Tensor) -> dict[str, Callable[[], object]]:
    """Workloads with weights converted to float16 once, also in the channels-last layout."""
    half, crops = copy.deepcopy(network).half(), batch.half()
    channels_last = copy.deepcopy(half).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    crops_channels_last = crops.to(memory_format=torch.channels_last)
    return {
        "half": lambda: half(crops),
        "half, channels last": lambda: channels_last(crops_channels_last),
        "graph of half, channels last": lambda: channels_last(crops_channels_last),
    }


def _captured(workload: Callable[[], object]) -> torch.cuda.CUDAGraph:
    side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # untyped in torch
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for _ in range(_WARM_UP):
            workload()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        workload()
    return graph


def compiled(network: nn.Module, batch: Tensor) -> dict[str, object]:
    """Measure the network under `torch.compile`, and how long compiling takes."""
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
    # Without the cache, since cached weights would be allocated in the memory of a graph.
    with torch.autocast(
        device.type, torch.float16, enabled=device.type == "cuda", cache_enabled=False
    ):
        yield


def _run(network: Callable[[Tensor], object], batch: Tensor) -> object:
    with _half(batch.device):
        return network(batch)


def _boxes(faces: KeptFaces, frame: Frame) -> Boxes:
    frame_faces = faces.by_frame[frame.index]
    return np.array([face.record.box_xyxy for face in frame_faces], np.float32).reshape(-1, 4)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _event(device: torch.device) -> torch.cuda.Event | None:
    return torch.cuda.Event(enable_timing=True) if device.type == "cuda" else None  # type: ignore[no-untyped-call]  # untyped in torch


def _record(event: torch.cuda.Event | None) -> None:
    if event is not None:
        event.record()
