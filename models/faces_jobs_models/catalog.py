"""The registry of networks, and the `Catalog` that opens each of them at most once a process.

Importing this module needs neither torch nor onnxruntime: a network's runtime is imported when
the network is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Self

from faces_jobs.errors import ModelError, SettingsError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import DEFAULT_DETECTION_SIZE
from faces_jobs.pipeline.protocols import Classifier, Cropper, Detector
from faces_jobs.settings import DEFAULT_DETECTOR, DetectorName, Settings
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.device import Device, WantedDevice, choose_device
from faces_jobs_models.run_sizes import (
    CROP_COUNTS,
    FRAME_COUNTS,
    RunSizeCache,
    RunSizes,
    RunTimes,
    Stop,
    measure,
)
from faces_jobs_models.weights import RECORD_NAME, ModelRecord, read_record

if TYPE_CHECKING:
    from faces_jobs_models.detector.batched import BatchedDetector
    from faces_jobs_models.on_device.networks import DeviceNetworks

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its folder, its kind, and its purpose in one sentence."""

    folder: str
    kind: Literal["detector", "classifier"]
    purpose: str


CATALOG: Mapping[str, Entry] = MappingProxyType(
    {
        "detector": Entry("detector", "detector", "Finds faces and five landmarks of each."),
        "gender": Entry("gender", "classifier", "Classifies a face as female or male."),
        "expression": Entry("expression", "classifier", "Classifies seven expressions."),
        "multiple": Entry(
            "multiple",
            "classifier",
            "Classifies illumination, pose, occlusion, age band and makeup.",
        ),
    }
)
"""Name -> network. To add a network, add its folder and an entry here."""


class Catalog:
    """The networks of one process: opened on first use, cached, closed together.

    Networks in `models_folder` replace the shipped ones; `detector_choice` is the setting's value.
    Thread-safe, as are the networks that it returns.
    """

    def __init__(
        self,
        *,
        device: Device,
        models_folder: Path | None = None,
        threads: int = 1,
        detector: DetectorName = DEFAULT_DETECTOR,
        run_sizes: RunSizes | None = None,
        run_sizes_folder: Path | None = None,
    ) -> None:
        self._device = device
        self.models_folder = models_folder
        self._threads = threads
        self.detector_choice = detector
        self._wanted_run_sizes = run_sizes or RunSizes()
        self._run_size_cache = (
            RunSizeCache(run_sizes_folder, networks=(device, detector, str(models_folder)))
            if run_sizes_folder is not None
            else None
        )
        self._lock = Lock()
        self._detector: BatchedDetector | None = None
        self._classifiers: dict[str, Classifier] = {}
        if models_folder is not None:
            _check_models_folder(models_folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop every cached network; one that is still referenced elsewhere remains usable."""
        with self._lock:
            self._detector = None
            self._classifiers.clear()

    @property
    def device(self) -> Device:
        """The device that the networks run on."""
        return self._device

    def detector(self, detection_size: int = DEFAULT_DETECTION_SIZE) -> Detector:
        """Return the face detector; see `Networks`.

        Raises:
            ModelError: a weights file is missing or has changed.
        """
        from faces_jobs_models.detector.two_sizes import at_size  # noqa: PLC0415 - loads OpenCV

        with self._lock:
            if self._detector is None:
                self._detector = self._open_detector(self._run_sizes.frames_a_run)
            return at_size(self._detector, detection_size)

    def classifiers(self, names: Sequence[str]) -> list[Classifier]:
        """Return the classifiers with these names, in the given order.

        Raises:
            ModelError: a name is unknown, or a file is missing, has changed or holds another
                network.
        """
        with self._lock:
            for name in names:
                if name not in self._classifiers:
                    self._classifiers[name] = self.open_classifier(
                        self.record(name), crops_a_run=self._run_sizes.crops_a_run
                    )
            return [self._classifiers[name] for name in names]

    def cropper(self) -> Cropper:
        """Return the function that crops faces for these classifiers."""
        if self._device == "cuda":
            with self._lock:  # or two `DeviceNetworks` could be made, which share no frames
                return self._on_device.cropper()
        from faces_jobs.pipeline.crops import crop_pictures  # noqa: PLC0415 - loads OpenCV

        return crop_pictures

    @property
    def has_run_sizes(self) -> bool:
        """Whether both run sizes are known: given, or measured before on this machine."""
        return self._run_sizes.is_complete

    def measure_run_sizes(self, *, stop: Stop) -> RunTimes | None:
        """Measure which numbers of frames and crops a run are fastest here; store and use them.

        Args:
            stop: called between runs, which take some milliseconds each.

        Returns:
            None if `stop` returned True before the end; nothing is stored then.

        Raises:
            ModelError: a network can't be opened.
        """
        measured = measure(
            self._open_detector(max(FRAME_COUNTS[self._device])),
            # One classifier is enough: all three have the same body.
            self.open_classifier(
                self.record("multiple"), crops_a_run=max(CROP_COUNTS[self._device])
            ),
            device=self._device,
            stop=stop,
        )
        if measured is None:
            return None
        if self._run_size_cache is not None:
            self._run_size_cache.write(measured.best)
        with self._lock:
            self._run_sizes = self._wanted_run_sizes.with_defaults(measured.best)
            self._detector = None
            self._classifiers.clear()
        return measured

    def _open_detector(self, frames_a_run: int | None) -> BatchedDetector:
        from faces_jobs_models.detector.open_detector import (  # noqa: PLC0415 - loads onnxruntime
            open_detector,
        )

        return open_detector(
            self.record("detector"),
            threads=self._threads,
            on_device=self._on_device if self._device == "cuda" else None,
            frames_a_run=frames_a_run,
        )

    @cached_property
    def _run_sizes(self) -> RunSizes:
        cached = self._run_size_cache.read() if self._run_size_cache is not None else None
        return self._wanted_run_sizes.with_defaults(cached or RunSizes())

    @cached_property
    def _on_device(self) -> DeviceNetworks:
        from faces_jobs_models.on_device.networks import (  # noqa: PLC0415 - loads torch
            DeviceNetworks,
        )

        return DeviceNetworks("cuda")

    def record(self, name: str) -> ModelRecord:
        """Return the record of one network, with its labels checked; weights are not read.

        Raises:
            ModelError: the name is unknown, or the record is missing or invalid.
        """
        if name not in CATALOG:
            raise ModelError(f"Unknown model {name!r}; the models are {', '.join(CATALOG)}.")
        if CATALOG[name].kind == "detector":
            return detector_record(self.detector_choice, self.models_folder)
        record = read_record(self.folder(name))
        record.check_model(name, MODELS[name])
        return record

    def variant(self, name: str, variant: str) -> ModelRecord | None:
        """Return the record of alternative weights of a classifier, which are in a subfolder.

        Returns:
            None if the classifier's folder has no subfolder `variant` with a record.

        Raises:
            ModelError: the record is invalid.
        """
        folder = self.folder(name) / variant
        if not (folder / RECORD_NAME).is_file():
            return None
        record = read_record(folder)
        record.check_model(name, MODELS[name])
        return record

    def records(self) -> list[ModelRecord]:
        """Return the records of all networks in use, the detector's first.

        Raises:
            ModelError: a record is missing or invalid.
        """
        return [self.record(name) for name in CATALOG]

    def folder(self, name: str) -> Path:
        """Return a classifier's folder: that in the models folder, else the shipped one."""
        if self.models_folder is not None:
            folder = self.models_folder / CATALOG[name].folder
            if (folder / RECORD_NAME).is_file():
                return folder
        return _HERE / CATALOG[name].folder

    def open_classifier(self, record: ModelRecord, *, crops_a_run: int | None = None) -> Classifier:
        """Open the classifier of a record, without caching it.

        Raises:
            ModelError: a file is missing, has changed or holds another network.
        """
        from faces_jobs_models.classifier import (  # noqa: PLC0415 - loads OpenCV
            AttributeClassifier,
        )

        record.verify()
        if self._device == "cuda":
            return self._on_device.classifier(record, crops_a_run=crops_a_run)
        from faces_jobs_models.onnx_session import open_session  # noqa: PLC0415 - onnxruntime

        session = open_session(record, outputs=tuple(record.heads), threads=self._threads)
        return AttributeClassifier(
            session, record, sha256=record.files["onnx"].sha256, crops_a_run=crops_a_run
        )


def open_catalog(
    *,
    device: WantedDevice = "auto",
    models_folder: Path | None = None,
    threads: int = 1,
    detector: DetectorName = DEFAULT_DETECTOR,
    run_sizes: RunSizes | None = None,
    run_sizes_folder: Path | None = None,
) -> Catalog:
    """Open a catalog for this process; use it as a context manager.

    Args:
        device: where networks run.
        models_folder: holds folders like the shipped ones (`gender/weights.toml` and the files
            it names), each of which replaces the shipped one.
        threads: for each network on the CPU.
        detector: our own, CenterFace, or the official YuNet.
        run_sizes: frames and crops a run, if they are given.
        run_sizes_folder: stores measured run sizes, for those that are not given.

    Raises:
        DeviceError: the device is not available.
        SettingsError: the models folder is missing or holds no model.
    """
    return Catalog(
        device=choose_device(device),
        models_folder=models_folder,
        threads=threads,
        detector=detector,
        run_sizes=run_sizes,
        run_sizes_folder=run_sizes_folder,
    )


def open_catalog_from_settings(
    settings: Settings,
    *,
    device: WantedDevice | None = None,
    models_folder: Path | None = None,
    detector: DetectorName | None = None,
) -> Catalog:
    """Open the catalog that the settings describe; arguments take precedence over them.

    Raises:
        DeviceError, SettingsError: as `open_catalog`.
    """
    return open_catalog(
        device=device or settings.device,
        models_folder=models_folder or settings.models_folder,
        detector=detector or settings.detector,
        run_sizes=RunSizes(frames_a_run=settings.frames_a_run, crops_a_run=settings.crops_a_run),
        run_sizes_folder=settings.run_sizes_folder,
    )


def _check_models_folder(folder: Path) -> None:
    classifiers = [entry.folder for entry in CATALOG.values() if entry.kind == "classifier"]
    names = [*(known.name for known in DETECTORS.values()), *classifiers]
    wanted = ", ".join(f"{name}/{RECORD_NAME}" for name in names)
    if not folder.is_dir():
        problem = f"does not exist. It must contain one of {wanted}"
    elif not any((folder / name / RECORD_NAME).is_file() for name in names):
        problem = f"contains no model: none of {wanted} was found"
    else:
        return
    raise SettingsError(
        f"The models folder {folder} {problem}. Correct --models-path or FACES_JOBS_MODELS_FOLDER; "
        "without them the shipped models are used."
    )
