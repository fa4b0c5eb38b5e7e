"""The networks of faces_jobs: a face detector and three classifiers, with their records.

Whoever runs them keeps to itself that it does: onnxruntime's packages report to their maker unless
told otherwise before they are first imported, which every module of this package comes before.
"""

from __future__ import annotations

import os

# The one thing that happens at import: later would be too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 (onnxruntime's setting, not ours)
