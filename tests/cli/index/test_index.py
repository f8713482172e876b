"""`image-search index` against the real service, as a person calls it."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.process import PROJECT, ServiceProcess, free_port
from demo.server import PictureServer
from image_search import Client
from tests.cli.interrupted import command, run


def _index(*words: str | Path, server: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command("index", *map(str, words), "--server", server),
        cwd=PROJECT,
        input=given,
        capture_output=True,
        check=False,
        timeout=120,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def _there(service: ServiceProcess, part: str) -> dict[str, object]:
    with Client(service.url) as client:
        images = client.list(limit=1000).images
    return {image.url: image.metadata for image in images if part in image.url}


def test_a_third_is_broken_and_the_service_is_killed(tmp_path: Path) -> None:
    assert run(60, tmp_path) == []


def test_a_csv_file(service: ServiceProcess, pictures: PictureServer, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    url = pictures.url + "1.jpg?csv"
    table.write_text(f"picture,i_count,i_code,i_new,i_ratio\n{url},3,007,true,\n")
    done = _index(table, "--url-column", "picture", server=service.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 indexed.\n", "")
    assert _there(service, "?csv") == {url: {"i_count": 3, "i_code": "007", "i_new": True}}
    again = _index(table, "--url-column", "picture", server=service.url)
    assert again.stdout == "0 indexed, 1 were done before.\n"
    table.write_text(f"picture,i_count,i_code\n{url},4,008\n")
    changed = _index(table, "--url-column", "picture", server=service.url)
    assert "begins anew" in changed.stderr
    assert _there(service, "?csv") == {url: {"i_count": 4, "i_code": "008"}}


def test_columns_that_are_to_be_text(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"url,i_article\n{pictures.url}1.jpg?text,12\n")
    assert _index(table, "--text-columns", "i_article", server=service.url).returncode == 0
    assert _there(service, "?text") == {f"{pictures.url}1.jpg?text": {"i_article": "12"}}


def test_parquet_and_json_lines(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    urls = [f"{pictures.url}{number}.jpg?kind" for number in range(3)]
    columns = {"url": urls[:2], "p_tags": [["a", "b"], None], "p_price": [1.5, float("nan")]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    lines = [json.dumps({"url": urls[2], "metadata": "a free text"}), "[1]", "{"]
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    failures = tmp_path / "failures"
    sources = (tmp_path / "a.parquet", tmp_path / "b.jsonl")
    done = _index(*sources, "--failures", failures, server=service.url)
    assert done.returncode == 1
    assert _there(service, "?kind") == {
        urls[0]: {"p_tags": ["a", "b"], "p_price": 1.5},
        urls[1]: None,
        urls[2]: "a free text",
    }
    failed = [json.loads(line) for line in failures.read_text().splitlines()]
    assert [(each["line"], each["code"]) for each in failed] == [(2, "bad_row"), (3, "bad_row")]


def test_standard_input_and_urls(service: ServiceProcess, pictures: PictureServer) -> None:
    urls = [f"{pictures.url}{number}.jpg?stdin" for number in range(3)]
    lines = f'{urls[0]}\n\n{{"url": "{urls[1]}", "s_n": 1}}\n'.encode()
    done = _index("-", urls[2], server=service.url, given=lines)
    assert (done.returncode, done.stdout) == (0, "3 indexed.\n")
    assert _there(service, "?stdin") == {urls[0]: None, urls[1]: {"s_n": 1}, urls[2]: None}


def test_of_one_url_the_last_row_stays(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    table, url = tmp_path / "table.csv", pictures.url + "2.jpg?twice"
    table.write_text("url,t_n\n" + "".join(f"{url},{number}\n" for number in range(20)))
    assert _index(table, server=service.url).stdout == "20 indexed.\n"
    assert _there(service, "?twice") == {url: {"t_n": 19}}


def test_a_column_names_the_images(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    url, failures = pictures.url + "2.jpg?named", tmp_path / "failures"
    (tmp_path / "a.csv").write_text(
        f"url,sku,d_n\n{url},007,1\n{url},1e5,2\n{url},007,3\n{url},,4\n"
    )
    lines = [
        {"url": url, "sku": 9, "d_n": 5},
        {"url": url, "sku": True},
        {"url": url, "sku": "a/b"},
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("--id-column", "sku", "--failures", failures)
    done = _index(tmp_path / "a.csv", tmp_path / "b.jsonl", *words, server=service.url)
    assert (done.returncode, done.stdout.startswith("4 indexed, 3 failed")) == (1, True), done
    with Client(service.url) as client:
        found = {one.id: one.metadata for one in client.list(limit=1000, url=url).images}
        assert found == {"007": {"d_n": 3}, "1e5": {"d_n": 2}, "9": {"d_n": 5}}
        failed = [json.loads(line) for line in failures.read_text().splitlines()]
        reasons = [one["reason"] for one in failed]
        assert sum("as its sku" in one for one in reasons) == 2
        assert sum("id must be 1 to 128" in one for one in reasons) == 1
        # What is mended there keeps its id.
        mended = next(one for one in failed if one["row"].get("id") == "a/b")
        mended["row"]["id"] = "a.b"
        (tmp_path / "mended").write_text(json.dumps(mended))
        assert _index(tmp_path / "mended", server=service.url).stdout == "1 indexed.\n"
        assert client.get("a.b").url == url
        assert client.delete_many(urls=[url]) == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.csv",
            b"link\nhttp://a/b\n",
            "no column 'url' (is it --url-column link?); its columns are: link",
        ),
        ("a.csv", b"url\n\xff\xfe\n", "not UTF-8"),
        ("a.csv", b'url\n"a"b\n', "is not CSV"),
        ("a.csv", b"url,url\n", "2 columns are called 'url': rename all but one\n"),
        ("a.parquet", b"PAR0", "not a Parquet file"),
        ("a.xls", b"", "is neither a table nor a picture"),
        ("a*.jpg", None, "matches no picture"),
        ("a\n\x1b", None, "a\\u000a\\u001b is no file"),
    ],
)
def test_what_is_no_source(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = _index(path, server="http://127.0.0.1:1")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """A shell that runs the tests in the background has them, and their children, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url\nhttp://127.0.0.1/a.jpg\n")
    server = f"http://127.0.0.1:{free_port()}"
    done = _index(tmp_path / "a.csv", "--patience", "0", server=server)
    assert done.returncode == 3
    assert "The service cannot be used" in done.stderr
    assert "goes on where it stopped" in done.stderr


@pytest.mark.usefixtures("_ctrl_c")
def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url\nhttp://127.0.0.1/a.jpg\n")
    words = ("index", str(tmp_path / "a.csv"), "--server", f"http://127.0.0.1:{free_port()}")
    with subprocess.Popen(command(*words), cwd=PROJECT, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        waiting = running.stderr.readline().decode()
        assert waiting.startswith(f"Waiting for the service (no connection to {words[3]}")
        running.send_signal(signal.SIGINT)
        end = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 130
    assert end == "Interrupted. The same command goes on where it stopped.\n"


@pytest.mark.usefixtures("_ctrl_c")
def test_a_person_can_end_it_while_it_waits_for_input() -> None:
    words = command("index", "-", "--server", f"http://127.0.0.1:{free_port()}")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(b"http://127.0.0.1/a.jpg\n")
        running.stdin.flush()
        assert running.stderr.readline().startswith(b"Waiting for the service")
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130  # while standard input is still open


def test_two_commands_do_not_share_a_state(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("url\nhttp://127.0.0.1/a.jpg\n")
    server = f"http://127.0.0.1:{free_port()}"
    state = tmp_path / "a.csv.index-state"
    with subprocess.Popen(command("index", str(table), "--server", server), cwd=PROJECT) as first:
        while not (state.exists() and state.stat().st_size) and first.poll() is None:
            time.sleep(0.05)
        done = _index(table, server=server)
        first.kill()
    assert done.returncode == 2
    assert "another command is at" in done.stderr


def test_the_types_of_the_table_win_over_guesses(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    first, second = f"{pictures.url}5.jpg?typed", f"{pictures.url}6.jpg?typed"
    table.write_text(f"url,y_code,y_price,y_zip\n{first},1e5,2.5,00123\n")
    assert _index(table, server=service.url).returncode == 0
    table.write_text(f"url,y_code,y_price,y_zip\n{second},12,3,456\n")
    assert _index(table, server=service.url).returncode == 0
    assert _there(service, "?typed") == {
        first: {"y_code": "1e5", "y_price": 2.5, "y_zip": "00123"},
        second: {"y_code": "12", "y_price": 3.0, "y_zip": "456"},
    }
