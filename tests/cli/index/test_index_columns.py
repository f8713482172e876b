"""`image-search index --leave-out, --rename, --id-column`: what becomes of a table's columns."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from image_search.cli.index.sources import Reading, opened
from image_search.cli.tables.columns import Columns, renamed_from
from image_search.cli.tables.rows import Row, Source, SourceError
from tests.cli.index.test_index import _index

_NAMES = st.sampled_from(["a", "b", "c", "d"])


def _opened(source: Path, words: Sequence[str]) -> Source:
    options: dict[str, list[str]] = {"--leave-out": [], "--rename": [], "--id-column": []}
    for name, value in zip(words[::2], words[1::2], strict=True):
        options[name].append(value)
    own = next(iter(options["--id-column"]), None)
    renamed = renamed_from(options["--rename"])
    reading = Reading("url", [], "file", {}, own, options["--leave-out"], renamed)
    return opened([str(source)], reading, {})


def _there(service: ServiceProcess, url: str) -> dict[str, object]:
    with Client(service.url) as client:
        return {one.id: one.metadata for one in client.list(limit=1000, url=url).images}


def test_the_columns_of_every_kind_of_table(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    url = pictures.url + "3.jpg?columns"
    (tmp_path / "a.csv").write_text(f"url,sku,l_secret,l_price\n{url},1,x,10.5\n")
    columns = {
        "url": [url],
        "sku": ["2"],
        "l_price": [12.5],
        "l_price.raw": [b"a type that metadata cannot hold"],
        "l_secret": [{"nor": "this one"}],
    }
    pq.write_table(pa.table(columns), tmp_path / "b.parquet")
    rows = [{"url": url, "sku": 3, "metadata": "y", "l_secret": "z"}, {"url": url, "sku": "4"}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = [tmp_path / name for name in ("a.csv", "b.parquet", "c.jsonl")]
    words = ["--id-column", "sku", "--leave-out", "l_secret", "--leave-out", "l_price.raw"]
    words += ["--rename", "l_price=l_cost", "--rename", "metadata=l_note"]
    done = _index(*tables, *words, server=service.url)
    assert (done.returncode, done.stdout) == (0, "4 indexed.\n"), done
    there = {"1": {"l_cost": 10.5}, "2": {"l_cost": 12.5}, "3": {"l_note": "y"}, "4": None}
    assert _there(service, url) == there
    assert _index(*tables, *words, server=service.url).stdout == "0 indexed, 4 were done before.\n"
    fewer = _index(*tables, *words[2:], server=service.url)
    assert "begins anew" in fewer.stderr


def test_the_table_s_type_is_that_of_the_key(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    url, table = pictures.url + "3.jpg?called", tmp_path / "a.csv"
    table.write_text(f"url,n_code\n{url},x1\n")
    assert _index(table, server=service.url).returncode == 0
    table.write_text(f"url,number\n{url},12\n")
    assert _index(table, "--rename", "number=n_code", server=service.url).returncode == 0
    assert list(_there(service, url).values()) == [{"n_code": "12"}]


def test_failures_are_tried_again_as_they_were_sent(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    missing, failures = pictures.url + "none.jpg?again", tmp_path / "failures"
    table = tmp_path / "a.csv"
    table.write_text(f"url,f_old,f_secret\n{missing},1,x\n")
    words = ("--leave-out", "f_secret", "--rename", "f_old=f_new")
    assert _index(table, *words, "--failures", failures, server=service.url).returncode == 1
    failure = json.loads(failures.read_text())
    assert failure["row"] == {"url": missing, "metadata": {"f_new": 1}}
    again = _index(failures, *words, server=service.url)
    assert again.returncode == 2
    assert "no such column; the columns are: f_new" in again.stderr
    url = pictures.url + "3.jpg?again"
    failures.write_text(json.dumps({**failure, "row": {**failure["row"], "url": url}}))
    assert _index(failures, "--rename", "f_new=f_newer", server=service.url).returncode == 0
    assert list(_there(service, url).values()) == [{"f_newer": 1}]


def test_rows_on_standard_input_have_the_columns_that_they_have(
    service: ServiceProcess, pictures: PictureServer
) -> None:
    url = pictures.url + "3.jpg?given"
    rows = [
        {"url": url, "k": "i1", "g_a": 1},
        {"url": url, "k": "i2", "g_b": 2, "g_no": 3},
        {"url": url, "k": "i3", "g_a": 1, "g_b": 2},
    ]
    words = ("--id-column", "k", "--leave-out", "g_no", "--rename", "g_a=g_b")
    lines = "\n".join(map(json.dumps, rows)).encode()
    done = _index("-", *words, server=service.url, given=lines)
    assert (done.returncode, done.stdout[:20]) == (1, "2 indexed, 1 failed ")
    assert _there(service, url) == {"i1": {"g_b": 1}, "i2": {"g_b": 2}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--leave-out", "x"], "--leave-out x: there is no such column; the columns are: a, b, id"),
        (["--rename", "x=y"], "--rename x: there is no such column; the columns are: a, b, id"),
        (["--id-column", "x"], "there is no column 'x'; its columns are: url, a, b, id"),
        (["--leave-out", "url"], "this column has the pictures' urls"),
        (["--id-column", "id", "--rename", "id=a"], "this column has the images' ids"),
        (["--rename", "a=b"], "the columns 'a' and 'b' would both be called 'b'"),
        (["--rename", "a"], "--rename a: give a column and its new name as OLD=NEW"),
        (["--rename", "a="], "OLD=NEW"),
        (["--rename", "a=c", "--rename", "a=d"], "is to be called 'c' as well"),
        (["--rename", "a=c", "--leave-out", "a"], "to be left out and renamed: do either"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_names_that_cannot_be(tmp_path: Path, kind: str, words: list[str], said: str) -> None:
    table = tmp_path / f"a.{kind}"
    if kind == "csv":
        table.write_text("url,a,b,id\nhttp://127.0.0.1/,1,2,3\n")
    elif kind == "parquet":
        columns = {"url": ["http://127.0.0.1/"], "a": [1], "b": [2], "id": ["3"]}
        pq.write_table(pa.table(columns), table)
    else:
        table.write_text('{"url": "http://127.0.0.1/", "a": 1, "b": 2, "id": "3"}\n')
        if "both be called" in said:
            return  # a row may have one of them: the rows tell
        said = said.replace("there is no column 'x'; its columns are: url, a", "x: there is no")
        said = said.split(", b, id")[0]
    with pytest.raises((SourceError, ValueError), match=re.escape(said)):
        _opened(table, words)


def test_a_name_that_cannot_be_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,a\nhttp://127.0.0.1/,1\n")
    done = _index(tmp_path / "a.csv", "--rename", "b=\x1b", server="http://127.0.0.1:1")
    said = "Error: --rename b: there is no such column; the columns are: a\n"
    assert (done.returncode, done.stderr.endswith(said)) == (2, True), done.stderr
    assert not (tmp_path / "a.csv.index-state").exists()


@pytest.mark.parametrize(
    "words", [("--leave-out", "file"), ("--rename", "file=path"), ("--id-column", "file")]
)
def test_a_folder_has_no_columns(
    pictures: PictureServer, tmp_path: Path, words: Sequence[str]
) -> None:
    (tmp_path / "1.jpg").write_bytes(requests.get(pictures.url + "1.jpg", timeout=60).content)
    with pytest.raises(
        SourceError, match=r"no table with columns among the sources; .* --file-key"
    ):
        _opened(tmp_path, words)


@given(
    st.dictionaries(_NAMES, st.integers()),
    st.sets(_NAMES),
    st.dictionaries(_NAMES, st.sampled_from(["a", "b", "x"])),
)
def test_no_value_is_lost_and_none_is_under_another_name(
    metadata: dict[str, int], left_out: set[str], renamed: Mapping[str, str]
) -> None:
    row = Row(1, "u", dict(metadata))
    made = Columns(left_out=left_out, renamed=renamed).applied(row)
    wanted = [(renamed.get(name, name), n) for name, n in metadata.items() if name not in left_out]
    if len(dict(wanted)) < len(wanted):
        assert "would both be called" in made.problem
        assert made.metadata == metadata
    else:
        assert (made.problem, made.metadata or {}) == ("", dict(wanted))
