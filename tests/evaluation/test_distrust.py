"""A run's files of any content: read or refused, and nothing outside the folder is shown."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pez.errors import PezError
from pez.evaluation.given import read_given
from pez.evaluation.index import read_index
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.report.files import as_csv, columns
from pez.evaluation.report.places import hide_folders, short_names
from pez.evaluation.store import INDEX, Record, Store
from pez.evaluation.table import read_rows
from pez.evaluation.units import Original

KEY = "ab" * 32
LINE: dict[str, Any] = {
    **dict.fromkeys(("dataset", "split", "item", "caption", "method", "search_model"), "x"),
    **{"source": "originals/a.png", "length": 8, "seed": 0, "prompt": KEY, "language": ""},
    **{"readings": {"mini-b": KEY}, "against": "", "sources": ["originals/a.png"]},
    "pictures": [{"generator": "g", "image_seed": 0, "key": KEY, "judges": {"mini-b": KEY}}],
}
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUE = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(st.text(max_size=2), LEAF, max_size=2)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*LINE, "asked", "ratio"]), VALUE, min_size=1, max_size=3))
def test_an_index_of_any_types_is_read_or_refused(tmp_path_factory, changed: dict) -> None:
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    store.put(Record("prompt", KEY, {}, {"prompt": "a cat"}))
    (store.folder / INDEX).write_text(json.dumps(LINE | changed))
    with contextlib.suppress(PezError):
        read_rows(store)


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "../secret.png"},
        {"sources": ["/etc/secret.png"]},
        {"prompt": "../../x"},
        {"pictures": [LINE["pictures"][0] | {"key": "../" * 3 + "secret"}]},
        {"pictures": [5]},
    ],
)
def test_an_index_that_leaves_its_folder_is_refused(changed: dict, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_text(INDEX, json.dumps(LINE)) if store.create() is None else None
    assert len(read_index(store)) == 1
    store.put_text(INDEX, json.dumps(LINE) + "\n" + json.dumps(LINE | changed))
    with pytest.raises(PezError, match="entry 2"):
        read_rows(store)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["kind", "key", "spec", "out", "seconds", "z"]), VALUE))
def test_a_record_of_any_types_is_one_or_none(tmp_path_factory, changed: dict) -> None:
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    path = store.path("prompt", KEY)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"kind": "prompt", "key": KEY, "spec": {}} | changed))
    found = store.get("prompt", KEY)
    assert found is None or isinstance(found.out, dict)
    for text in ("[" * 100_000, '{"kind":' + "9" * 5000 + "}"):
        path.write_text(text)
        assert Store(store.folder).get("prompt", KEY) is None


PLAN = 'models = ["mini"]\njudges = ["mini-judge"]\n{}\n[data]\ndataset = "samples"\n{}\n'
PLAN += '[[methods]]\nname = "pez"\nlengths = [2]\n{}\n'
ODD = (
    *("5", "-1", "1.5", "nan", "inf", "true", '"a"', "[]", "[5]", '[["a"]]', "{}", "{a = 1}"),
    *("9" * 5000, "9" * 100, "[" * 200 + "]" * 200, "1979-05-27", '"a\\u0000"', '"~nosuch/x"'),
)
WHERE = (
    *((0, f"{name} = ") for name in ("seeds", "readers", "title", "prompts", "dtype", "task")),
    *((1, f"{name} = ") for name in ("count", "split", "path", "manifest", "group", "seed")),
    *((2, f"{name} = ") for name in ("steps", "label", "ratios")),
    *((2, f"options = {{ {name} = ") for name in ("ban", "set", "init", "lr", "restarts", "keep")),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(WHERE), st.sampled_from(ODD))
def test_a_plan_of_any_types_is_read_or_refused(place: tuple[int, str], value: str) -> None:
    parts = ["", "", ""]
    parts[place[0]] = place[1] + value + (" }" if "{" in place[1] else "")
    with contextlib.suppress(PezError):
        parse_plan(PLAN.format(*parts))


def original(file: str) -> Original:
    return Original("samples", "", "a.png", "", file, "", "", 0)


def test_prompts_come_from_tables_json_lines_and_results(tmp_path: Path) -> None:
    rows = {
        "p.csv": "Item,prompt,method\na.png,a cat,mine\n",
        "p.tsv": "item\tprompt\tmethod\na.png\ta cat\tmine\n",
        "p.jsonl": '{"item": "a.png", "prompt": "a cat", "method": "mine"}\n',
        "r.jsonl": '{"targets": ["a.png"], "prompt": "a cat", "method": "mine", "score": 1}\n',
    }
    for name, text in rows.items():
        (tmp_path / name).write_text(text)
        _, (one,) = read_given(tmp_path / name, [original("a.png")], Store(tmp_path))
        assert (one.place, one.prompt, one.method) == (0, "a cat", "mine"), name
    for text in (
        '{"item": 5, "prompt": "a"}',
        '{"item": "a.png", "prompt": ["a"]}',
        "[1]",
        '{"targets": ["a", "b"], "prompt": "x"}',
    ):
        (tmp_path / "bad.jsonl").write_text("\n" + text)
        with pytest.raises(PezError, match="line 2"):
            read_given(tmp_path / "bad.jsonl", [original("a.png")], Store(tmp_path))


def test_a_report_tells_no_place_and_runs_no_formula() -> None:
    assert hide_folders("/a b/c.png") == "a b/c.png"
    told = {"plan": ['path = "/home/me/x"', "local-dir:/home/me/model"], "n": 1}
    assert hide_folders(told) == {"plan": ['path = "x"', "local-dir:model"], "n": 1}
    for plain in ("http://a.b/c/d", "and/or", "a / b", "</b>", "1/2", "sub/a.png"):
        assert hide_folders(plain) == plain
    assert short_names(["/a/x", "/b/x", "y"]) == {"/a/x": "x", "/b/x": "x (2)", "y": "y"}
    row = dict.fromkeys(columns()) | {"method": '=HYPERLINK("http://x")', "difference": -0.5}
    text = as_csv([row])
    assert ",\"'=HYPERLINK" in text and ",-0.5," in text
