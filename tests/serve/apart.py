"""The tests of the running service with its models on ports of their own: a command.

    uv run python -m tests.serve.apart                     # all of tests/serve, about ten minutes
    uv run python -m tests.serve.apart tests/serve/load    # some of it, or any options of pytest

It makes an environment for the API that has neither torch nor OpenVINO nor open_clip nor
ultralytics, starts one CLIP and one YOLO service by the whole installation, and runs the tests with
every API they start by that environment, without weights, calling those two.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from demo.process import PROJECT, ServiceProcess
from tests.running import APART, environment

TOKEN = "a-token-of-these-tests"
ABSENT = ("torch", "torchvision", "open_clip", "ultralytics", "openvino")


def api_python() -> Path:
    """Interpreter of an environment without what computes models, made if need be."""
    folder = PROJECT / ".pytest_cache" / "api-alone"
    command = ["uv", "sync", "--frozen", "--quiet", "--no-dev", "--no-group", "models"]
    settings = {"UV_PROJECT_ENVIRONMENT": str(folder), "UV_PYTHON": sys.executable}
    subprocess.run(command, cwd=PROJECT, env={**os.environ, **settings}, check=True)
    python = folder / "bin" / "python"
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {ABSENT!r}))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    if found.strip():
        sys.exit(f"the API's environment has {found.strip()}")
    return python


def main() -> int:
    """Run the tests; the exit status is pytest's."""
    given = sys.argv[1:] or ["tests/serve"]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        apart = {"python": str(api_python()), "IMAGE_SEARCH_MODEL_TOKEN": TOKEN}
        for variable, model in (("CLIP", "ClipEmbedder"), ("YOLO", "YoloDetector")):
            folder = Path(name) / model
            folder.mkdir()
            settings = environment(folder, IMAGE_SEARCH_MODEL_TOKEN=TOKEN)
            target = f"service:{model}"
            service = ServiceProcess(settings, folder / "log", target=target, cwd=PROJECT)
            apart[f"IMAGE_SEARCH_{variable}_URLS"] = stack.enter_context(service).url
        command = [sys.executable, "-m", "pytest", "-n", "0", *given]
        variables = {**os.environ, APART: json.dumps(apart)}
        return subprocess.run(command, cwd=PROJECT, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
