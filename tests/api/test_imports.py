"""What the service's file brings into the supervisor and into every worker."""

import os
import subprocess
import sys


def test_the_service_brings_nothing_heavy() -> None:
    heavy = {"PIL", "cv2", "lance", "lancedb", "pandas", "pyarrow", "scipy", "torch", "ultralytics"}
    code = f"import sys, service; print(*sorted({heavy!r} & set(sys.modules)))"
    environment = {**os.environ, "IMAGE_SEARCH_MODELS": "demo"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
