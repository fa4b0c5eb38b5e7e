"""No stage becomes half as dear again unnoticed: calls and operations are counted, not seconds.

Counts are the same on a busy machine as on an idle one. They miss what makes one call slower; that
shows in `make bench`. A stage that becomes cheaper has to have its budget lowered here, so that it
can't become dear again within the old one.
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
from tests.unit.bench.call_counts import counted_calls

FRAMES, FACES = 10, 2
CALLS_A_FRAME = {
    "decode": 107,
    "detect": 108,
    "crop": 34,
    "classify": 41,
    "draw and encode": 672,
}
MEGAFLOPS_A_CROP = {"gender": 79, "expression": 78, "multiple": 79}
"""Multiplications and additions of one crop of 64 pixels, in millions."""


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("stages")
    clip = portraits(folder, faces=FACES, width=640, height=360, seconds=FRAMES / 25)
    faces = KeptFaces()
    with open_catalog(device="cpu") as catalog:
        run_clip(catalog, clip, folder, annotated=False, lanes=1, extra_sinks=[faces])
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


def _calls_a_frame(stages: Stages, stage: str, *, times: int = 1) -> float:
    work = stages.workloads()[stage]
    work()  # what is made once and kept is not a frame's cost
    with counted_calls() as counter:
        for _ in range(times):
            work()
    return counter.calls / FRAMES


@pytest.mark.parametrize("stage", CALLS_A_FRAME)
def test_a_stage_makes_no_more_calls_than_it_did(stages: Stages, stage: str) -> None:
    assert stages.face_count == FRAMES * FACES
    share = _calls_a_frame(stages, stage) / CALLS_A_FRAME[stage]
    assert share <= 1.5, f"{stage} makes {share:.2f} times the calls of its budget: what was added?"
    assert share >= 0.6, f"{stage} makes {share:.2f} times the calls of its budget: lower it"


@pytest.mark.parametrize("stage", CALLS_A_FRAME)
def test_a_stage_that_works_twice_would_be_noticed(stages: Stages, stage: str) -> None:
    assert _calls_a_frame(stages, stage, times=2) > 1.5 * CALLS_A_FRAME[stage]


@pytest.mark.parametrize("model", MODELS)
def test_a_network_takes_no_more_operations_than_it_did(model: str) -> None:
    with Catalog(device="cpu") as catalog:
        record = catalog.record(model)
    network = build_network(record.heads, record.network).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 64, 64))
    share = counter.get_total_flops() / 1e6 / MEGAFLOPS_A_CROP[model]
    assert 0.6 <= share <= 1.2, f"{model} takes {share:.2f} times the operations of its budget"


def test_the_encoder_is_set_as_it_was_measured() -> None:
    # Its cost hangs on these words, and no count shows it: "veryfast" takes half as long again.
    assert X264.options["preset"] == "superfast"
    assert X264.options["x264-params"] == "mbtree=1:rc-lookahead=10"
