"""Labelled texts are read as they are, and what cannot be meant is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pez.datasets.labelled import (
    Row,
    draw_any,
    draw_rows,
    given_labelled,
    read_labelled,
)
from pez.datasets.labels import numbered, placed
from pez.errors import PezError

ROWS = [("good fun", "pos"), ("a dull film", "neg"), ("great, really", "pos")]


def written(path: Path) -> Path:
    """The same rows in the format that the name asks for."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(
            pa.table({"text": [t for t, _ in ROWS], "label": [k for _, k in ROWS]}), path
        )
    elif path.suffix == ".jsonl":
        lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
        path.write_text("\n".join(lines))
    else:
        sign = "\t" if path.suffix == ".tsv" else ","
        lines = [f'"{text}"{sign}{label}' for text, label in ROWS]
        path.write_text("\n".join([f"text{sign}label", *lines]))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    found = read_labelled(str(written(tmp_path / name)))
    assert found.rows == [Row(text, label) for text, label in ROWS]
    assert (found.empty, found.copies) == (0, 0)


def test_rows_without_a_text_and_copies_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sentence,label\ngood fun,1\n,0\ngood fun,1\nbad,0\nbad,\n")
    found = read_labelled(str(path))
    assert found.rows == [Row("good fun", "1"), Row("bad", "0")]
    assert (found.empty, found.copies) == (2, 1)


def test_numbers_name_the_columns_of_a_table_without_a_head(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("World news\tWorld\nBall games\tSports\n")
    found = read_labelled(str(path), "1", "2")
    assert found.rows == [Row("World news", "World"), Row("Ball games", "Sports")]


@pytest.mark.parametrize(
    ("head", "options", "what"),
    [
        ("words,label", ("", ""), "cannot be guessed: name it with --text-column"),
        ("text,sentence", ("", ""), "text and sentence could both be it"),
        ("text,kind", ("", ""), "cannot be guessed: name it with --label-column"),
        ("text,label", ("body", ""), "no column 'body', only text, label"),
        ("text,label", ("text", "text"), "both name 'text'"),
    ],
)
def test_columns_are_guessed_only_where_that_is_safe(
    tmp_path: Path, head: str, options: tuple[str, str], what: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{head}\na,b\n")
    with pytest.raises(PezError, match=what):
        read_labelled(str(path), *options)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "text,label\n", "has no row"),
        ("a.csv", "text,label\n,1\n", "only rows without a text"),
        ("a.jsonl", "", "has no row"),
        ("a.txt", "x", "neither a .csv"),
        ("b.csv", None, "b.csv"),
    ],
)
def test_files_without_texts_are_refused(
    tmp_path: Path, name: str, content: str | None, what: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(PezError, match=what):
        read_labelled(str(path))


def test_labels_are_matched_by_name_or_by_the_order_of_numbers() -> None:
    rows = [Row("a", "1"), Row("b", "0"), Row("c", "1")]
    assert numbered(rows, ["bad", "good"], "x") == ([1, 0, 1], ["0", "1"])
    named = [Row("a", "Sports"), Row("b", "World"), Row("c", "Other")]
    assert numbered(named, ["world", "sports"], "x") == ([1, 0, -1], ["World", "Sports"])
    assert numbered(named[:2], [], "x") == ([0, 1], ["Sports", "World"])


def test_whole_numbers_are_numbers_however_they_are_written() -> None:
    for low, high in (("-1", "1"), ("0.0", "1.0"), ("2", "10")):
        rows = [Row("a", high), Row("b", low)]
        assert numbered(rows, ["bad", "good"], "x") == ([1, 0], [low, high])


def test_a_label_is_matched_in_all_cases_of_letters() -> None:
    rows = [Row("a", "Good"), Row("b", "bad"), Row("c", "good")]
    assert numbered(rows, ["bad", "good"], "x")[0] == [1, 0, 1]
    assert placed(rows, ["GOOD", "other"]) == [0, -1, 0]


def test_truth_values_are_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fun", "label": true}\n{"text": "dull", "label": false}\n')
    assert read_labelled(str(path)).rows == [Row("fun", "true"), Row("dull", "false")]


def test_of_a_folder_the_split_that_is_asked_for_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in ("train", "test"):
        table = pa.table({"text": [f"a {split}", f"b {split}"], "label": [0, 1]})
        pq.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    found = read_labelled(str(tmp_path))
    assert [row.text for row in found.rows] == ["a train", "b train"]
    assert (found.files, found.others) == (1, 1)
    assert read_labelled(str(tmp_path), split="test").rows[0].text == "a test"
    pq.write_table(table, tmp_path / "one.parquet")
    (tmp_path / "train-00000-of-00001.parquet").unlink()
    assert len(read_labelled(str(tmp_path)).rows) == 2  # no file is named so: all are read


def test_rows_of_python_are_read_as_those_of_files_are() -> None:
    wanted = [Row("good fun", "1"), Row("dull", "0")]
    pairs = [("good fun", 1), ["dull ", "0"], ("", 1), ("dull", 0)]
    found = given_labelled(pairs)
    assert (found.rows, found.empty, found.copies) == (wanted, 1, 1)
    assert given_labelled(np.array(pairs[:2], object)).rows == wanted
    tables = [{"id": 1, "Review": text, "label": label} for text, label in pairs[:2]]
    assert given_labelled(tables).rows == wanted  # as the hub's library gives rows
    for wrong in (["a", "b"], [("a", "b", "c")], [5], 5):
        with pytest.raises(PezError, match="data must be a file"):
            given_labelled(wrong)  # type: ignore[arg-type]


def test_frames_of_pandas_are_read_as_files_are() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"body": ["good fun", "dull", None], "label": [1, 0, 1]})
    found = given_labelled(frame, text="body")
    assert (found.rows, found.empty) == ([Row("good fun", "1"), Row("dull", "0")], 1)
    frame.loc[1, "label"] = None  # the other labels become 1.0
    assert [row.label for row in given_labelled(frame, text="body").rows] == ["1"]


@pytest.mark.parametrize(
    ("labels", "given", "what"),
    [
        (["a", "b"], ["a", "c"], "no row of x has the label 'c'; there are a, b"),
        (["a", "a"], [], "all rows of x have the label a"),
        (["0", "1"], [], "say with --labels what they mean"),
        (["0", "1", "2"], ["bad", "good"], "--labels names 2: give a name for each"),
        (["a", "b"], ["a", "A"], "two or more different ones"),
        (["-1", "1"], [], "the labels of x are -1, 1; say with --labels"),
        (["Good", "bad", "good"], [], "Good and good of x differ by the case of letters alone"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(
    labels: list[str], given: list[str], what: str
) -> None:
    rows = [Row(f"text {n}", label) for n, label in enumerate(labels)]
    with pytest.raises(PezError, match=what):
        numbered(rows, given, "x")


def test_draws_do_not_depend_on_the_order_of_rows() -> None:
    rows = [Row(f"text {n}", str(n % 2)) for n in range(40)]
    places, _ = numbered(rows, ["bad", "good"], "x")
    train, valid = draw_rows(rows, places, (5, 4), 0)
    assert not set(train) & set(valid)
    assert [sum(places[n] for n in part) for part in (train, valid)] == [5, 4]
    back = rows[::-1]
    other = draw_rows(back, places[::-1], (5, 4), 0)[0]
    assert [back[n] for n in other] == [rows[n] for n in train]
    assert draw_rows(rows, places, (5, 4), 1)[0] != train
    assert not set(draw_any(rows, places, 99, 0, [*train, *valid])) & {*train, *valid}
