"""Settings of the pipeline: networks, batches, segments and the video encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from faces_jobs.jobs.unsure import parse_unsure_below

DetectorName = Literal["own", "centerface", "yunet"]
EncoderName = Literal["auto", "libx264", "h264_nvenc", "h264_qsv", "h264_videotoolbox", "h264_amf"]
DEFAULT_DETECTOR: DetectorName = "centerface"


class PipelineSettings(BaseModel):
    """How frames are analysed and encoded."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where networks run. `auto`: CUDA if it is available."
    )
    detector: DetectorName = Field(
        default=DEFAULT_DETECTOR,
        description="Face detector: `own` is this project's and the fastest, `centerface` finds "
        "the most faces, `yunet` uses the official weights that `faces-jobs models fetch "
        "yunet` downloads.",
    )
    models_folder: Path | None = Field(
        default=None,
        description="A folder with weights to use instead of those that are included.",
    )
    unsure_below: str = Field(
        default="",
        description="Attributes less probable than this are `unsure`: `0.5` for all, `0` or "
        "`off` for never, or by model or head: "
        "`gender=0.7,multiple=0.5,age=0.4`. Empty: each model's own.",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Frames that pass through the stages in one batch; fewer if they are large.",
    )
    frames_a_run: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Frames per call of the detector. Empty: the number measured to be fastest on "
        "this machine (`faces-jobs models tune`).",
    )
    crops_a_run: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Faces per call of a classification model. Empty: the number measured to be "
        "fastest on this machine.",
    )
    lanes: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Batches that a process works on concurrently, each in a thread. "
        "Empty: for `run`, as many as cores; for a worker, the cores divided by "
        "`FACES_JOBS_WORKERS`; with a GPU, at most two.",
    )
    encoder: EncoderName = Field(
        default="libx264",
        description="Encoder of annotated videos: `libx264`, or a GPU's by its name in FFmpeg. "
        "`auto`: a GPU's if one works. Parts of a video that was cut always use `libx264`.",
    )
    segment_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Videos are cut at key frames into segments of about this length, so "
        "that several workers can share one.",
    )

    @field_validator("unsure_below")
    @classmethod
    def _check_unsure_below(cls, value: str) -> str:
        parse_unsure_below(value)
        return value
