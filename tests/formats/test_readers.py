"""Files of others: whatever is in them, they are read or refused in one sentence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pez.errors import PezError
from pez.formats.documents import read_json, read_json_lines, read_toml
from pez.formats.prompts import phrases_of, read_prompts, words_of
from pez.formats.tables import read_table, write_table
from pez.formats.text import read_lines, read_text
from pez.result import Result

GIVE = "give another"
READERS: dict[str, Callable[[Path], Any]] = {
    "a.txt": lambda path: read_text(path, GIVE),
    "lines.txt": lambda path: list(read_lines(path, GIVE)),
    "a.json": lambda path: read_json(path, GIVE),
    "a.jsonl": lambda path: list(read_json_lines(path, GIVE)),
    "a.toml": lambda path: read_toml(read_text(path, GIVE), "a.toml", GIVE),
    "a.csv": lambda path: list(read_table(path, GIVE)),
    "a.tsv": lambda path: list(read_table(path, GIVE)),
    "prompts.txt": read_prompts,
    "prompts.json": read_prompts,
    "prompts.jsonl": read_prompts,
    "prompts.csv": read_prompts,
    "words.txt": lambda path: words_of(path, "--ban"),
    "phrases.txt": lambda path: phrases_of(path, "--keep"),
}
DIGITS = "9" * 5000
ODD = [
    b"\xff\xfea\x00",
    b"\xfe\xff\x00a",
    b"a\x00b",
    b"caf\xe9",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    f'{{"prompt": {DIGITS}}}'.encode(),
    f"prompt = {DIGITS}".encode(),
    b'{"prompt": NaN}',
    b'{"prompt": 1e999}',
    b'{"prompt": "a", "prompt": "b"}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": ["a"]}',
    b'prompt\n"a\nb\nc',
    b"prompt,prompt\na,b",
    b"prompt\na,b",
    b"x = " + b"[" * 50_000,
]
BYTES = st.binary(max_size=80) | st.sampled_from(ODD) | st.text(max_size=60).map(str.encode)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BYTES, st.sampled_from(sorted(READERS)))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("odd") / name
    path.write_bytes(data)
    with contextlib.suppress(PezError):
        READERS[name](path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_reader_refuses_what_is_no_text_and_names_the_file(name: str, tmp_path: Path) -> None:
    for data in (b"\xff\xfea\x00", b"a\x00b", b"caf\xe9 {"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PezError, match=name.replace(".", r"\.")):
            READERS[name](tmp_path / name)
    for path in (tmp_path, tmp_path / "none" / name, Path("a\0b"), Path("~nobody-here/" + name)):
        with pytest.raises(PezError):
            READERS[name](path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}\n" + b"[" * 100_000, "line 2: not JSON .*nested too deeply"),
        (b'{"a": 1}\n\n{"a": ' + DIGITS.encode() + b"}", "line 3: not JSON .*thousands of digits"),
        (b'{"a": 1, "a": 2}', "line 1: not JSON .*'a' is there twice"),
        (b'{"a": NaN}', "line 1: not JSON .*NaN"),
        (b'{"a": 1e999}', "line 1: not JSON .*too large"),
        (b"{}\n[1]", "line 2: not an object"),
        (b"{}\ncaf\xe9", "line 2, is not UTF-8"),
    ],
)
def test_a_bad_line_of_json_is_named_with_its_fault(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(PezError, match=said):
        list(read_json_lines(tmp_path / "a.jsonl", GIVE))


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path) -> None:
    for name, text in (("w.txt", "brown\nalien"), ("p.csv", "prompt\na cat")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert words_of(tmp_path / "w.txt", "--ban") == ["brown", "alien"]
    assert read_prompts(tmp_path / "p.csv") == ["a cat"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('image,caption\na,"b\nc,d\ne,f\n', "line 2: .*a quote has no end"),
        ("image,caption\na,b, c\n", "line 2: 3 cells where the first line has 2"),
        ("image,image\na,b\n", "two columns 'image'"),
        ("", "is empty"),
    ],
)
def test_no_row_of_a_table_is_lost_or_cut(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(PezError, match=said):
        list(read_table(tmp_path / "a.csv", GIVE))


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(CELL | st.sampled_from(["=1+1", "+a", "-a", "@a", "\ta", "'=x"]), min_size=1))
def test_no_cell_is_a_formula_and_each_comes_back(tmp_path_factory, cells: Iterable[str]) -> None:
    rows = [{"a": cell, "b": -1.5} for cell in cells]
    text = write_table(("a", "b"), rows)
    assert not any(line.lstrip('"').startswith(tuple("=+-@\t\r")) for line in text.split("\n")[1:])
    path = tmp_path_factory.mktemp("t") / "a.csv"
    path.write_bytes(text.encode())
    back = [row["a"] for _, row in list(read_table(path, GIVE))[1:]]
    assert back == [
        str(row["a"]).removeprefix("'") if str(row["a"])[:2] == "'=" else row["a"] for row in rows
    ]
    assert ",-1.5" in text  # a number is no formula


def result(**changed: Any) -> str:
    """A line of a results file with some entries changed."""
    made = Result("a cat", [1, 2], 0.5, "mini", "pez", ["a.png"], 10, 1.0, 0)
    return json.dumps(json.loads(made.to_json()) | changed)


ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(json.loads(result()))), ANY, min_size=1, max_size=3))
def test_a_result_of_other_types_is_no_result(changed: dict[str, Any]) -> None:
    try:
        found = Result.from_json(result(**changed))
    except (ValueError, TypeError):
        return
    assert " ".join(found.prompt.split()) is not None
    assert "\n".join(found.targets) is not None
    assert Result.from_json(found.to_json()) == found


def test_results_of_no_meaning_are_refused() -> None:
    for line in ("[" * 100_000, "5", "null", result(targets=None), result(prompt=5), result(x=1)):
        with pytest.raises((ValueError, TypeError)):
            Result.from_json(line)
    assert Result.from_json(result(perplexity=float("inf"))).perplexity == float("inf")
