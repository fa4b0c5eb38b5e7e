"""The cost of each stage, in calls and operations instead of seconds, stays within its budget.

Counts are the same on a busy machine as on an idle one. They don't show that a single call became
slower; `make bench` does. When a stage becomes cheaper, its budget must be lowered here, so that
it can't become as expensive as before unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.sinks.encoders import X264
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.networks import build_network
from tests.bench.clips import portraits
from tests.bench.ours import run_clip
from tests.bench.stages import MAX_PIXELS, KeptFaces, Stages
from tests.unit.bench.call_counts import count_calls

FRAMES, FACES = 10, 2
CALLS_PER_FRAME = {
    "decode": 107,
    "detect": 108,
    "crop": 34,
    "classify": 41,
    "draw and encode": 672,
}
MEGAFLOPS_PER_CROP = {"gender": 79, "expression": 78, "multiple": 79}
"""Multiplications and additions for one crop of 64x64 pixels, in millions."""


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("stages")
    clip = portraits(folder, faces=FACES, width=640, height=360, seconds=FRAMES / 25)
    faces = KeptFaces()
    with open_catalog(device="cpu") as catalog:
        run_clip(catalog, clip, folder, annotated=False, lanes=1, also=[faces])
        with open_frames(clip, max_pixels=MAX_PIXELS) as reader:
            yield Stages(
                clip=clip,
                folder=folder,
                info=reader.info,
                frames=list(reader),
                faces=faces,
                detector=catalog.detector(),
                classifiers=catalog.classifiers(tuple(MODELS)),
            )


def _calls_per_frame(stages: Stages, stage: str, *, times: int = 1) -> float:
    work = stages.works()[stage]
    work()  # the first run also fills caches, which is not part of a frame's cost
    with count_calls() as counter:
        for _ in range(times):
            work()
    return counter.calls / FRAMES


@pytest.mark.parametrize("stage", CALLS_PER_FRAME)
def test_a_stage_stays_within_its_budget_of_calls(stages: Stages, stage: str) -> None:
    assert stages.face_count == FRAMES * FACES
    share = _calls_per_frame(stages, stage) / CALLS_PER_FRAME[stage]
    assert share <= 1.5, f"{stage} makes {share:.2f} times the calls of its budget"
    assert share >= 0.6, f"{stage} makes {share:.2f} times the calls of its budget: lower it"


@pytest.mark.parametrize("stage", CALLS_PER_FRAME)
def test_a_stage_that_does_its_work_twice_exceeds_its_budget(stages: Stages, stage: str) -> None:
    assert _calls_per_frame(stages, stage, times=2) > 1.5 * CALLS_PER_FRAME[stage]


@pytest.mark.parametrize("model", MODELS)
def test_a_network_stays_within_its_budget_of_operations(model: str) -> None:
    with Catalog(device="cpu") as catalog:
        record = catalog.record(model)
    network = build_network(record.heads, record.network).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 64, 64))
    share = counter.get_total_flops() / 1e6 / MEGAFLOPS_PER_CROP[model]
    assert 0.6 <= share <= 1.2, f"{model} takes {share:.2f} times the operations of its budget"


def test_the_encoder_has_the_options_that_were_measured() -> None:
    # Call counts don't show what these options cost: "veryfast" takes 1.5 times as long.
    assert X264.options["preset"] == "superfast"
    assert X264.options["x264-params"] == "mbtree=1:rc-lookahead=10"
