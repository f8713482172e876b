"""Tables as people have them: from Excel, pandas and shops."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_search.cli.index.sources import Reading, opened
from image_search.cli.tables.rows import SourceError

_A, _B = "http://a/1.jpg", "http://a/2.jpg"


def reading(**options: Any) -> Reading:
    return Reading(
        **{"url_column": "url", "text_columns": [], "file_key": "", "metadata": {}, **options}
    )


def read(path: Path, known: Mapping[str, str] | None = None, **options: Any) -> dict[str, Any]:
    """The metadata by the urls."""
    rows = list(opened([str(path)], reading(**options), known or {}).rows)
    assert not [row.problem for row in rows if row.problem]
    return {row.url: row.metadata for row in rows}


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "windows-1252"),
        ("utf-8-sig", "utf8"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
def test_what_spreadsheets_save(
    tmp_path: Path, encoding: str, given: str | None, end: str, between: str
) -> None:
    rows = [
        [" url ", '"Größe; in, cm"', "text"],
        [_A, "3", f'"zwei{end}Zeilen, ""Zoll"""'],
        [_B, "", "grün"],
    ]
    text = end.join(between.join(row) for row in rows) + end
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path / "a.csv", encoding=given) == {
        _A: {"Größe; in, cm": 3, "text": f'zwei{end}Zeilen, "Zoll"'},
        _B: {"text": "grün"},
    }


def test_empty_cells_at_the_end_are_no_columns_and_empty_rows_are_none(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f"url,a,b,,\n{_A},x,,,\n,,,,\n{_B},y,z\n,\n{_B}2,y,z,,,,,\n")
    assert read(table) == {
        _A: {"a": "x"},
        _B: {"a": "y", "b": "z"},
        f"{_B}2": {"a": "y", "b": "z"},
    }
    table.write_text(f"url,a\n{_A},x,more\n")
    (row,) = opened([str(table)], reading(), {}).rows
    assert row.problem == "the row has 3 values, but the header 2"
    assert row.given == [_A, "x", "more"]


def test_a_column_without_a_name_is_left_out_and_told(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f",url,a\n0,{_A},x\n")  # as pandas writes its row numbers
    source = opened([str(table)], reading(), {})
    assert [row.metadata for row in source.rows] == [{"a": "x"}]
    assert source.left_out == {"columns without a name": 1}


def test_excel_says_its_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"sep=;\r\nurl;a,b\r\n{_A};1\r\n")
    assert read(tmp_path / "a.csv") == {_A: {"a,b": 1}}


@pytest.mark.parametrize(
    ("between", "cells", "values"),
    [
        (";", ["12,50", "3"], [12.5, 3.0]),
        (";", ["1.234,50", "-0,5"], [1234.5, -0.5]),
        (";", ["12.50", "3"], [12.5, 3.0]),
        (";", ["12,50", "12.5"], ["12,50", "12.5"]),
        (";", ["01,5", "1"], ["01,5", "1"]),
        (";", ["1,2,3", "1"], ["1,2,3", "1"]),
        ("\t", ["12,50", "3"], ["12,50", "3"]),
        (";", ["12,50 EUR", "3"], ["12,50 EUR", "3"]),
    ],
)
def test_decimal_commas(
    tmp_path: Path, between: str, cells: list[str], values: list[object]
) -> None:
    rows = [f"url{between}n", *(f"{u}{between}{n}" for u, n in zip((_A, _B), cells, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    assert [one["n"] for one in read(tmp_path / "a.csv").values()] == values
    as_text = read(tmp_path / "a.csv", text_columns=["n"])
    assert [one["n"] for one in as_text.values()] == cells
    if isinstance(values[0], float):
        in_floats = read(tmp_path / "a.csv", {"n": "float"})
        assert [one["n"] for one in in_floats.values()] == values
    assert read(tmp_path / "a.csv", {"n": "string"}) == as_text


def test_a_merchant_feed_is_tab_separated(tmp_path: Path) -> None:
    feed = f'id\ttitle\timage_link\tprice\tgtin\n7\tA 5" star\t{_A}\t12.50 EUR\t0012\n'
    own = {"id": 7, "title": 'A 5" star', "price": "12.50 EUR", "gtin": "0012"}
    for name in ("feed.tsv", "feed.txt", "feed.TAB", "feed.csv"):
        (tmp_path / name).write_text(feed)
        assert read(tmp_path / name, url_column="image_link") == {_A: own}


def test_quotes_between_tabs_are_signs_like_others_where_they_are_not_closed(
    tmp_path: Path,
) -> None:
    table = tmp_path / "a.tsv"
    table.write_text(f'url\ttitle\n{_A}\t"Best" shirt\n{_B}\t"5\n')
    assert read(table) == {_A: {"title": '"Best" shirt'}, _B: {"title": '"5'}}
    table.write_text(f'url\ttitle\n{_A}\t"in ""quotes""\tand tabs"\n')
    assert read(table) == {_A: {"title": 'in "quotes"\tand tabs'}}


def test_a_text_of_urls(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(f"\ufeff{_A}\r\n\r\n{_B}\r\n".encode())
    assert read(path) == {_A: None, _B: None}
    path.write_text("")
    assert read(path) == {}


def test_several_urls_in_one_cell_are_told(tmp_path: Path) -> None:
    cells = [f"{_A}, {_B}", f"{_A},{_B}", f"{_A} | {_B}", f"{_A}?to=http://b/", f"{_A}%2C{_B}"]
    lines = [json.dumps(cell) + ",x" for cell in cells]
    (tmp_path / "a.csv").write_text("Images,SKU\n" + "\n".join(lines))
    how = reading(url_column="Images", id_column="SKU")
    rows = list(opened([str(tmp_path / "a.csv")], how, {}).rows)
    assert [row.problem[:17] for row in rows] == ["Images has 2 URLs"] * 3 + ["", ""]
    # What is mended in the list of failures has its id.
    assert rows[0].given == {"url": cells[0], "id": "x", "metadata": None}


_SHOPIFY = f"Handle,Image Src,Image Position\nstar,{_A},1\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", ",,\n", "the first line must name the columns"),
        ("a.tsv", "URL\nhttp://a/\n", "no column 'url' (is it --url-column URL?); its columns are"),
        ("a.csv", _SHOPIFY, "(is it --url-column 'Image Src'?); its columns are: Handle, Image S"),
        ("a.csv", _SHOPIFY.replace(",", ";"), "(is it --url-column 'Image Src'?)"),
        ("a.csv", 'url\n"a" b\n', "line 2 is not CSV: "),
        ("a.csv", "a,b\n1,2\n", "there is no column 'url'; its columns are: a, b"),
        ("a.csv", "url,a,a\nu,1,2\n", "called 'a': rename all but one (or --leave-out a)"),
        ("a.csv", "url\n1\nü\n".encode("cp1252"), "line 3 is not UTF-8 text: save it as UTF-8, or"),
        ("a.csv", "url,a\n".encode("utf-16-le"), "it may be --encoding utf-16-le"),
        ("a.jsonl", '{"image_link": "http://a/", "n": 1}', "(is it --url-column image_link?)"),
        ("a.jsonl", '{"n": 1}\n[]\n', "there is no column 'url'; its columns are: n"),
        ("a.json", "[]", "a.json: give JSON lines, an object a line, as a .jsonl file"),
        ("a.parquet", "", "a.parquet: the file is empty"),
        ("a.txt", "what\na note", "there is no column 'url'; its columns are: what"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_clear_line(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError) as raised:
        read(path)
    assert said in str(raised.value)


def test_columns_of_one_name_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"url,a,a,b\n{_A},1,2,3\n")
    assert read(tmp_path / "a.csv", leave_out=["a"]) == {_A: {"b": 3}}


def test_an_encoding_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url\n")
    for encoding in ("ansi?", "hex"):
        with pytest.raises(SourceError, match=f"--encoding {encoding[:3]}.*: unknown; give one"):
            read(tmp_path / "a.csv", encoding=encoding)


def test_a_table_without_rows_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,a\n")
    (tmp_path / "b.jsonl").write_text("")
    pq.write_table(pa.table({"url": pa.array([], pa.string())}), tmp_path / "c.parquet")
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        assert read(tmp_path / name) == {}
