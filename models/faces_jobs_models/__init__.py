"""The networks of faces_jobs: a face detector and three classifiers, with their records.

onnxruntime sends telemetry to its vendor unless that is disabled before it is first imported. Every
module that imports it is in this package, so it is disabled here.
"""

from __future__ import annotations

import os

# The only side effect of an import in this project: later would be too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 (onnxruntime's setting, not ours)
