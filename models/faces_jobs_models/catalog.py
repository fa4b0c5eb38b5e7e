"""Every network of faces_jobs, and the object that opens them for whoever runs them.

Importing this needs neither torch nor onnxruntime: a network's runtime is imported when the
network is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Literal, Self

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector
from faces_jobs.settings import DEFAULT_DETECTOR, DetectorName
from faces_jobs_models.detector.choice import FOLDERS, detector_folder, detector_record
from faces_jobs_models.device import Device, WantedDevice, choose_device
from faces_jobs_models.weights import RECORD_NAME, ModelRecord, read_record

if TYPE_CHECKING:
    from faces_jobs_models.detector.options import DetectorOptions
    from faces_jobs_models.on_device.networks import DeviceNetworks

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its folder, its kind, and what it is for in one sentence."""

    folder: str
    kind: Literal["detector", "classifier"]
    purpose: str


CATALOG: Mapping[str, Entry] = MappingProxyType(
    {
        "detector": Entry("detector", "detector", "Finds faces and five landmarks of each."),
        "gender": Entry("gender", "classifier", "Says whether a face looks female or male."),
        "expression": Entry("expression", "classifier", "Names one of seven expressions."),
        "multiple": Entry(
            "multiple", "classifier", "Illumination, pose, occlusion, age band and makeup."
        ),
    }
)
"""Name -> network. A new network is a folder and a line here."""


@dataclass(frozen=True, slots=True)
class Description:
    """What can be told of a network without opening it. `problem` is None where all is well.

    `choice` is the setting's value that means this detector; `used` says whether it is in force.
    """

    name: str
    purpose: str
    folder: Path
    record: ModelRecord | None
    problem: str | None
    choice: DetectorName | None = None
    used: bool = True


class Catalog:
    """The networks of one process: opened when first asked for, kept, closed together.

    Safe to share between threads; what it hands out is as well.
    """

    def __init__(
        self,
        *,
        device: Device,
        models_folder: Path | None = None,
        threads: int = 1,
        detector: DetectorName = DEFAULT_DETECTOR,
        detector_options: DetectorOptions | None = None,
    ) -> None:
        self._device = device
        self._models_folder = models_folder
        self._threads = threads
        self._detector_choice = detector
        self._detector_options = detector_options
        self._lock = Lock()
        self._detector: Detector | None = None
        self._classifiers: dict[str, Classifier] = {}
        if models_folder is not None:
            _check_models_folder(models_folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every network; those handed out live on until their holders let go too."""
        with self._lock:
            self._detector = None
            self._classifiers.clear()

    @property
    def device(self) -> Device:
        """Where the classifiers run."""
        return self._device

    def detector(self) -> Detector:
        """The face detector.

        Raises:
            ModelError: its file is missing or has changed.
        """
        from faces_jobs_models.detector.open_detector import (  # noqa: PLC0415 - loads onnxruntime
            open_detector,
        )

        with self._lock:
            if self._detector is None:
                self._detector = open_detector(
                    self.record("detector"),
                    threads=self._threads,
                    on_device=self._on_device if self._device == "cuda" else None,
                    options=self._detector_options,
                )
            return self._detector

    def classifiers(self, names: Sequence[str]) -> list[Classifier]:
        """The classifiers of these names, in their order.

        Raises:
            ModelError: a name is unknown, or a file is missing, changed or of another shape.
        """
        with self._lock:
            for name in names:
                if name not in self._classifiers:
                    self._classifiers[name] = self.open_classifier(self.record(name))
            return [self._classifiers[name] for name in names]

    def cropper(self) -> Cropper:
        """Cuts faces out for these classifiers."""
        if self._device == "cuda":
            return self._on_device.cropper()
        from faces_jobs.pipeline.crops import crop_pictures  # noqa: PLC0415 - loads OpenCV

        return crop_pictures

    @cached_property
    def _on_device(self) -> DeviceNetworks:
        from faces_jobs_models.on_device.networks import (  # noqa: PLC0415 - loads torch
            DeviceNetworks,
        )

        return DeviceNetworks("cuda", half=True)

    def record(self, name: str) -> ModelRecord:
        """What is known of one network, with its labels checked; its weights are not read.

        Raises:
            ModelError: the name is unknown, or its record is missing or wrong.
        """
        if name not in CATALOG:
            raise ModelError(f"There is no model {name!r}; known are {', '.join(CATALOG)}.")
        if CATALOG[name].kind == "detector":
            return detector_record(self._detector_choice, self._models_folder)
        own = self._own_folder(name)
        record = read_record(own or _HERE / CATALOG[name].folder)
        record.check_model(name, MODELS[name])
        return record

    def variant(self, name: str, variant: str) -> ModelRecord | None:
        """The record of another training of a classifier: a folder of that name in its own.

        Raises:
            ModelError: the folder's record is wrong.
        """
        folder = (self._own_folder(name) or _HERE / CATALOG[name].folder) / variant
        if not (folder / RECORD_NAME).is_file():
            return None
        record = read_record(folder)
        record.check_model(name, MODELS[name])
        return record

    def records(self) -> list[ModelRecord]:
        """The records of all networks in use, detector first.

        Raises:
            ModelError: one is missing or wrong.
        """
        return [self.record(name) for name in CATALOG]

    def describe(self) -> list[Description]:
        """Every network with its record and, after reading every file, what is wrong with it.

        Detectors that are there but not chosen are among them, and other trainings of a
        classifier (`expression/fer2013`), `used` being False.
        """
        told = [self._describe_detector(choice) for choice in FOLDERS]
        told = [one for one in told if one.used or one.problem is None]
        classifiers = [name for name, entry in CATALOG.items() if entry.kind == "classifier"]
        for name in classifiers:
            told += [self._describe_classifier(name), *self._describe_variants(name)]
        return told

    def _describe_detector(self, choice: DetectorName) -> Description:
        folder = detector_folder(choice, self._models_folder) or _HERE / FOLDERS[choice]
        record, problem = _looked_into(lambda: detector_record(choice, self._models_folder))
        return Description(
            "detector",
            CATALOG["detector"].purpose,
            folder,
            record,
            problem,
            choice=choice,
            used=choice == self._detector_choice,
        )

    def _describe_classifier(self, name: str) -> Description:
        folder = self._own_folder(name) or _HERE / CATALOG[name].folder
        record, problem = _looked_into(lambda: self.record(name))
        return Description(name, CATALOG[name].purpose, folder, record, problem)

    def _describe_variants(self, name: str) -> list[Description]:
        folder = self._own_folder(name) or _HERE / CATALOG[name].folder
        told = []
        for path in sorted(folder.glob(f"*/{RECORD_NAME}")):
            variant = path.parent.name
            record, problem = _looked_into(partial(self._variant_there, name, variant))
            purpose = f"The same, trained with the labels {variant}; for `evaluate` alone."
            told.append(
                Description(f"{name}/{variant}", purpose, path.parent, record, problem, used=False)
            )
        return told

    def _variant_there(self, name: str, variant: str) -> ModelRecord:
        record = self.variant(name, variant)
        if record is None:
            raise ModelError(f"The folder {variant} of {name} has lost its {RECORD_NAME}.")
        return record

    def _own_folder(self, name: str) -> Path | None:
        if self._models_folder is None:
            return None
        folder = self._models_folder / CATALOG[name].folder
        return folder if (folder / RECORD_NAME).is_file() else None

    def open_classifier(self, record: ModelRecord) -> Classifier:
        """The classifier of a record, opened anew; the catalog does not keep it.

        Raises:
            ModelError: a file is missing, changed or of another shape.
        """
        from faces_jobs_models.classifier import (  # noqa: PLC0415 - loads OpenCV
            AttributeClassifier,
        )

        record.verify()
        if self._device == "cuda":
            return self._on_device.classifier(record)
        from faces_jobs_models.onnx_session import OnnxSession  # noqa: PLC0415 - loads onnxruntime

        session = OnnxSession(record.files["onnx"].path, name=record.name, threads=self._threads)
        if session.output_names != tuple(record.heads):
            raise ModelError(
                f"{record.files['onnx'].path} has the outputs {', '.join(session.output_names)}; "
                f"a {record.name} model has {', '.join(record.heads)}. Export the model again."
            )
        return AttributeClassifier(session, record, sha256=record.files["onnx"].sha256)


def open_catalog(
    *,
    device: WantedDevice = "auto",
    models_folder: Path | None = None,
    threads: int = 1,
    detector: DetectorName = DEFAULT_DETECTOR,
    detector_options: DetectorOptions | None = None,
) -> Catalog:
    """A catalog for this process; use it with `with`.

    Args:
        device: where networks run. CenterFace runs on the CPU, or on CUDA where a CUDA build of
            onnxruntime is installed.
        models_folder: holds folders like the shipped ones (`gender/weights.toml` and the files
            it names), which take the place of the shipped ones; models without one stay.
        threads: for each network on the CPU.
        detector: which one finds the faces: our own, CenterFace, or the official YuNet.
        detector_options: working size and thresholds of the detector.

    Raises:
        DeviceError: the device is not there.
        ModelError: the models folder is missing or holds no model.
    """
    return Catalog(
        device=choose_device(device),
        models_folder=models_folder,
        threads=threads,
        detector=detector,
        detector_options=detector_options,
    )


def _looked_into(read: Callable[[], ModelRecord]) -> tuple[ModelRecord | None, str | None]:
    # A record that can be read is told of even where its files are not what it says.
    record = None
    try:
        record = read()
        record.verify()
    except ModelError as error:
        return record, str(error)
    return record, None


def _check_models_folder(folder: Path) -> None:
    classifiers = [entry.folder for entry in CATALOG.values() if entry.kind == "classifier"]
    names = [*FOLDERS.values(), *classifiers]
    wanted = ", ".join(f"{name}/{RECORD_NAME}" for name in names)
    if not folder.is_dir():
        raise ModelError(
            f"The models folder {folder} is not there. It should hold one of {wanted}."
        )
    if not any((folder / name / RECORD_NAME).is_file() for name in names):
        raise ModelError(
            f"The models folder {folder} holds no model: looked for {wanted}. Leave the setting "
            "out to use the models that are shipped."
        )
