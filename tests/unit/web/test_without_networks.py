"""The web package works without libraries for neural networks, images and video."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
    import sys

    BLOCKED = {"torch", "cv2", "numpy", "av", "PIL", "onnxruntime", "onnx", "pyarrow", "scipy"}
    OWN_CODE = ("faces_jobs.worker", "faces_jobs.pipeline", "faces_jobs.sinks", "faces_jobs_models")

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in BLOCKED or name.startswith(OWN_CODE):
                raise ImportError(f"{name} is blocked")

    sys.meta_path.insert(0, Blocker())

    import io
    from pathlib import Path

    from faces_jobs.db.migrate import upgrade
    from faces_jobs.db.session import open_database
    from faces_jobs.queue.producer import open_queue
    from faces_jobs.settings import Settings
    from faces_jobs.storage import open_storage
    from faces_jobs_web.app import create_app
    import faces_jobs_web.server.process
    from tests.unit.web.media_files import png

    settings = Settings(data_folder=Path(sys.argv[1]), min_free_bytes=0)
    upgrade(settings.database)
    with open_database(settings.database) as database, open_queue(settings) as queue:
        app = create_app(
            settings=settings, database=database, storage=open_storage(settings), queue=queue
        )
        client = app.test_client()
        response = client.post("/api/v1/jobs", data={"files": (io.BytesIO(png()), "a.png")})
        assert response.status_code == 201, response.text
        for path in ("/", "/jobs", response.headers["Location"], "/api/docs", "/healthz"):
            assert client.get(path).status_code == 200, path
    print("answered")
"""


def test_requests_are_answered_without_these_libraries(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "answered"
