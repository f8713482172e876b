"""Many requests at once: none is lost, batches form, and the service stays slim."""

import asyncio
import re
from collections import Counter

import aiohttp
import psutil
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import SCENES, own_models
from tests.unprivileged import needs_root

IN_FLIGHT = 64
IDLE_S = 6  # the model services close connections that idle for 5 s
MODELS = ("ClipEmbedder", "YoloDetector")


async def _ask(session: aiohttp.ClientSession, base: str, pictures: str, number: int) -> int:
    url = f"{pictures}{number % SCENES}.jpg"
    route, body = (
        ("post_image_to_index", {"url": url, "metadata": {"number": number}}),
        ("search_simmilar_images", {"url": url}),
        ("run_object_detection", {"url": url}),
    )[number % 3]
    async with session.post(f"{base}/{route}", json=body) as answer:
        await answer.read()
        return answer.status


async def _storm(base: str, pictures: str) -> Counter[int]:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async with aiohttp.ClientSession() as session:

        async def one(number: int) -> int:
            async with slots:
                return await _ask(session, base, pictures, number)

        statuses = Counter(await asyncio.gather(*map(one, range(600))))
        await asyncio.sleep(IDLE_S)
        return statuses + Counter(await asyncio.gather(*map(one, range(IN_FLIGHT))))


def _mean_batch(url: str, model: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=60).text

    def total(what: str) -> float:
        line = rf'^image_search_model_call_items_{what}{{.*"{model}".*}} (\S+)$'
        return sum(map(float, re.findall(line, text, re.MULTILINE)))

    return total("sum") / total("count")


def test_no_request_is_lost_and_batches_form(
    service: ServiceProcess, pictures: PictureServer
) -> None:
    statuses = asyncio.run(_storm(service.url, pictures.url))
    assert statuses == {200: 600 + IN_FLIGHT}
    for model in MODELS:
        assert _mean_batch(service.url, model) > 1


def test_made_up_paths_leave_nothing_behind(service: ServiceProcess) -> None:
    """Neither a metric of their own, nor a line of their own in the log."""
    for number in range(20):
        made_up = f"{service.url}/made-up-{number}%0aforged%1b[31m"
        assert requests.get(made_up, timeout=60).status_code == 404
    text = requests.get(f"{service.url}/metrics", timeout=60).text
    assert "made-up" not in text
    assert 'endpoint="/nowhere"' in text
    log = service.log.read_text(errors="replace")
    assert "forged" not in log


@needs_root
@own_models
def test_supervisor_and_api_hold_no_torch(service: ServiceProcess) -> None:
    assert service.process is not None
    supervisor = psutil.Process(service.process.pid)
    children = supervisor.children(recursive=True)
    light = [supervisor, *(one for one in children if not set(MODELS) & set(one.cmdline()))]
    assert len(light) == len(children) + 1 - len(MODELS)
    # Proportional: the libraries that the decoders' processes map alike count once.
    assert sum(one.memory_full_info().pss for one in light) < 600 << 20
