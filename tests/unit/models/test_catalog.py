"""Opening the catalog: lazily, once, on the right device, without torch where it is not used."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from faces_jobs.errors import DeviceError
from faces_jobs.pipeline.protocols import Classifier, Detector
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.device import choose_device

WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")

sys.meta_path.insert(0, NoTorch())
import numpy as np
from faces_jobs_models.catalog import open_catalog

assert "onnxruntime" not in sys.modules and "cv2" not in sys.modules
with open_catalog(device="cpu") as catalog:
    catalog.detector().detect([np.zeros((64, 64, 3), np.uint8)])
    for classifier in catalog.classifiers(["gender", "expression", "multiple"]):
        classifier.classify([np.zeros((64, 64, 3), np.uint8)])
assert "torch" not in sys.modules
print("done")
"""


def test_on_the_cpu_everything_works_without_torch() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert answer.stdout.strip() == "done", answer.stderr


def test_networks_are_opened_once_and_kept() -> None:
    with open_catalog(device="cpu") as catalog:
        assert catalog.detector() is catalog.detector()
        first = catalog.classifiers(["gender", "multiple"])
        assert [one.name for one in first] == ["gender", "multiple"]
        assert catalog.classifiers(["multiple"])[0] is first[1]


def test_threads_that_ask_at_once_get_the_same_network() -> None:
    with open_catalog(device="cpu") as catalog:
        found: list[Classifier] = []
        threads = [
            threading.Thread(target=lambda: found.extend(catalog.classifiers(["gender"])))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(one) for one in found}) == 1


def test_what_it_opens_fits_the_pipeline(catalog: Catalog) -> None:
    detector: Detector = catalog.detector()
    classifiers: list[Classifier] = catalog.classifiers(["gender", "expression", "multiple"])
    assert detector.name == catalog.record("detector").name
    for classifier in classifiers:
        assert classifier.crop_size == 64
        assert 1 <= classifier.crop_scale <= 2
        assert len(classifier.sha256) == 64
        assert classifier.version


def test_a_closed_catalog_opens_again_when_asked() -> None:
    catalog = open_catalog(device="cpu")
    first = catalog.detector()
    catalog.close()
    assert catalog.detector() is not first


def test_cuda_that_is_not_there_is_told() -> None:
    import torch  # noqa: PLC0415 - torch is slow, and only this test asks it

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(DeviceError, match="cuda was requested"):
        open_catalog(device="cuda")
    assert choose_device("auto") == "cpu"


def test_an_unknown_device_is_told() -> None:
    with pytest.raises(DeviceError, match="auto, cpu or cuda"):
        choose_device("tpu")  # type: ignore[arg-type]  # what a setting could hold
