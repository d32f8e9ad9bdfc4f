"""The task classify: a plan searches prompts for labelled texts, and language models read them."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_speakers import tiny_gpt2, tiny_llama

import pez
from pez.cli import main
from pez.errors import PezError
from pez.evaluation.expand import expand
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.sizing import placeholders
from pez.evaluation.store import Store
from pez.evaluation.subjects import subjects
from pez.formats.wording import Wording
from pez.models.speakers import load_speaker
from pez.session.classify_options import ClassifyOptions
from pez.session.figures import measure
from pez.session.labelled import read_data

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks import classify
from benchmarks import classify_tables as tables

WORDS = ("film", "story", "plot", "cast", "people", "time", "man")
BEHIND, BEFORE = "{text}{prompt}{label}", "{prompt}{text} it was{label}"
SIZES: dict[str, Any] = {"shots": 3, "validation": 4, "test_size": 12}
SMALL = "lengths = [2]\nsteps = 1\n"
Rows = list[dict[str, Any]]


def plan_of(folder: Path) -> str:
    """A plan with the small files and models of ``folder``."""
    options = "options = { shots = 3, validation = 4, test_size = 12, labels = "
    return f"""
models = ["{folder}/a"]
readers = ["{folder}/a", "{folder}/b"]
seeds = [0, 1]
baselines = ["no-prompt"]
[task]
name = "classify"
templates = ["{BEHIND}", "{BEFORE}"]
label_words = {{ films = ["terrible,great", "bad,good"] }}
[[data]]
dataset = "films"
path = "{folder}/films.jsonl"
{options}"no,yes" }}
[[data]]
dataset = "more"
path = "{folder}/more.jsonl"
{options}"bad,good" }}
[[methods]]
name = "pursuit"
{SMALL}
options = {{ restarts = 2, finalists = 2, vocabulary = "whole" }}
[[methods]]
name = "random"
label = "random words"
seeds = [0, 1, 2]
{SMALL}
options = {{ restarts = 1, finalists = 1, vocabulary = "whole" }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of labelled texts, two small language models, prompts by hand."""
    folder = tmp_path_factory.mktemp("classify")
    pairs = [(one, two) for one in WORDS for two in WORDS if one != two]
    for name, seen in (("films", "is"), ("more", "was")):
        rows = [
            {"text": f"the {one} {seen} {('bad', 'good')[n % 2]} and the {two}", "label": n % 2}
            for n, (one, two) in enumerate(pairs)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    for name, make in (("a", tiny_gpt2), ("b", tiny_llama)):
        (folder / name).mkdir()
        make(folder / name)
    lines = (
        "item,prompt,method\nfilms,it was,manual\nfilms,a good film,manual\nmore,it was,manual\n"
    )
    (folder / "manual.csv").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A run of the whole plan and its rows."""
    place = tmp_path_factory.mktemp("run")
    plan = parse_plan(plan_of(folder))
    return place, evaluate(plan, place, prompts=folder / "manual.csv", device="cpu")


def test_rows_are_prompts_by_readers_templates_and_words(done: tuple[Path, Rows]) -> None:
    rows = done[1]
    assert not [row["error"] for row in rows if row["error"]]
    for name, forms in (("films", 4), ("more", 2)):
        mine = [row for row in rows if row["dataset"] == name]
        counts = {
            m: len([r for r in mine if r["method"] == m]) for m in {r["method"] for r in mine}
        }
        manual = 2 if name == "films" else 1
        wanted = {"no-prompt": 1, "pursuit": 2, "random words": 3, "manual": manual}
        assert counts == {method: count * forms * 2 for method, count in wanted.items()}
        assert len({row["against"] for row in mine}) == forms
        assert len({row["judge"] for row in mine}) == 2
    assert {row["against"] for row in rows if row["dataset"] == "films"} == {
        f"{template} {words}"
        for template in (BEHIND, BEFORE)
        for words in ("terrible,great", "bad,good")
    }


def test_figures_are_those_of_measure(folder: Path, done: tuple[Path, Rows]) -> None:
    options = ClassifyOptions(labels="no,yes", **SIZES)
    data = read_data(str(folder / "films.jsonl"), options)
    row = next(
        row
        for row in done[1]
        if row["method"] == "pursuit" and row["judge"].endswith("/b") and BEFORE in row["against"]
    )
    words = tuple(row["against"].removeprefix(BEFORE).strip().split(","))
    reader = load_speaker(str(folder / "b"), "cpu", "float32")
    for part, prefix in ((data.test, ""), (data.valid, "valid_")):
        (found,) = measure(
            reader, [row["prompt"]], part.texts, part.right, Wording.of(BEFORE), words
        )
        for column, way in (("accuracy", "raw"), ("calibrated",) * 2, ("shifted", "median")):
            assert row[prefix + column] == pytest.approx(found.rates[way].share, abs=1e-4)
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] or row["accuracy"] in (0, 1)
    assert (row["texts"], row["valid_texts"]) == (12, 8)


def test_a_prompt_is_that_of_pez_classify(folder: Path, done: tuple[Path, Rows]) -> None:
    given: dict[str, Any] = {"labels": "no,yes", "label_words": "terrible,great", **SIZES}
    options = {"restarts": 2, "finalists": 2, "vocabulary": "whole", "length": 2, "steps": 1}
    result = pez.classify(
        str(folder / "films.jsonl"),
        warn=lambda _: None,
        **{**given, **options, "model": (str(folder / "a"),), "seed": 1},
        **{"method": "pursuit", "dtype": "float32", "device": "cpu", "random": 0},
    )
    mine = {
        row["prompt"]
        for row in done[1]
        if (row["dataset"], row["method"], row["seed"]) == ("films", "pursuit", 1)
    }
    assert mine == {result.prompt}


def test_a_run_resumes_and_other_words_are_read_without_searching(
    folder: Path, done: tuple[Path, Rows]
) -> None:
    place, rows = done
    units = sorted(place.glob("units/*/*/*.json"))
    before = {path: path.stat().st_mtime_ns for path in units}
    lost = next(path for path in units if path.parts[-3] == "labels")
    lost.unlink()
    manual = folder / "manual.csv"
    again = evaluate(parse_plan(plan_of(folder)), place, prompts=manual, device="cpu")
    assert again == rows and lost.exists()
    searched = [path for path in units if path.parts[-3] == "prompt"]
    assert all(path.stat().st_mtime_ns == before[path] for path in searched)
    other = plan_of(folder).replace('"bad,good"]', '"bad,good", "no,yes"]')
    more = evaluate(parse_plan(other), place, prompts=manual, device="cpu")
    assert len(more) > len(rows)
    assert sorted(place.glob("units/prompt/*/*.json")) == searched


def test_texts_are_stored_whole_and_lost_ones_drawn_again(folder: Path, tmp_path: Path) -> None:
    text = plan_of(folder).partition("[[methods]]")[0].replace(f', "{BEFORE}"', "")
    plan = parse_plan(text.replace(f', "{folder}/b"]', "]"))
    evaluate(plan, tmp_path, device="cpu")
    kept = sorted(tmp_path.glob("originals/*/*.json"))
    assert len(kept) == 2 and Store(tmp_path).has_original(
        kept[0].relative_to(tmp_path).as_posix(), kept[0].stem
    )
    kept[0].write_text("{}")
    next(iter(tmp_path.glob("units/labels/*/*.json"))).unlink()
    with pytest.warns(pez.PezWarning, match="lost or damaged"):
        rows = evaluate(plan, tmp_path, device="cpu")
    assert not [row["error"] for row in rows if row["error"]]


def test_the_page_has_the_accuracies_and_the_transfer(
    done: tuple[Path, Rows], capsys: pytest.CaptureFixture[str]
) -> None:
    written = pez.report(done[0])
    page = written.page.read_text(encoding="utf-8")
    assert f"in the form {BEHIND}" in page and "Accuracy: share of test texts" in page
    with written.page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        figures = [row for row in csv.DictReader(file) if row["accuracy"]]
    assert figures and {"calibrated", "shifted", "label_loss"} <= figures[0].keys()


def test_tables_choose_by_validation_and_compare_text_by_text(
    folder: Path, done: tuple[Path, Rows]
) -> None:
    plan = parse_plan(plan_of(folder))
    mine = [
        row
        for row in done[1]
        if row["dataset"] == "films" and row["judge"].endswith("/a") and BEHIND in row["against"]
    ]
    mine = [row for row in mine if row["against"].endswith("terrible,great")]
    words = [row for row in mine if row["method"] == "random words"]
    best = tables.chosen(words)
    assert best["valid_loss"] == min(row["valid_loss"] for row in words)
    made = tables.page("films", plan, mine)
    assert f"| random words, by validation | `{best['prompt']}` | " in made
    assert f"| {tables.share(best, 'accuracy')} |" in made
    (none,) = [row for row in mine if row["method"] == "no-prompt"]
    found = tables.difference(best, none, "calibrated")
    assert found.mean == pytest.approx(100 * (best["calibrated"] - none["calibrated"]), abs=0.02)
    assert tables.difference(best, best, "accuracy").mean == 0
    crossed = tables.transfer("films", plan, done[1])
    head = next(line for line in crossed.splitlines() if line.startswith("| prompts"))
    assert head.count("|") == 2 + 8  # two readers, two templates, two lists of words


def test_results_of_pez_classify_join_a_table_of_the_same_texts(
    folder: Path, done: tuple[Path, Rows], tmp_path: Path
) -> None:
    def result(**more: Any) -> str:
        found = pez.classify(
            str(folder / "films.jsonl"),
            warn=lambda _: None,
            **{"labels": "no,yes", "label_words": "terrible,great", "vocabulary": "whole"},
            **{"model": (str(folder / "a"),), "dtype": "float32", "device": "cpu", "length": 2},
            **{**SIZES, "prompt": "it was", **more},
        )
        (tmp_path / "found.jsonl").write_text(found.to_json())
        return f"films={tmp_path / 'found.jsonl'}"

    (row,) = classify.results_of([result()], done[0])
    (same,) = [
        own
        for own in done[1]
        if (own["dataset"], own["prompt"]) == ("films", "it was")
        and own["judge"].endswith("/a")
        and own["against"] == f"{BEHIND} terrible,great"
    ]
    for name in ("accuracy", "calibrated", "shifted", "valid_accuracy", "valid_shifted"):
        assert row[name] == same[name]
    with pytest.raises(PezError, match="other texts"):
        classify.results_of([result(data_seed=1)], done[0])


def test_a_dry_run_counts_without_drawing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(plan_of(folder))
    assert main(["evaluate", str(plan), "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "labels of texts: 72 units, 0 done" in out and "downloaded" not in out
    assert not (tmp_path / "run").exists()


def test_the_plan_of_the_docs_can_be_carried_out() -> None:
    page = Path(__file__).parents[2] / "docs" / "comparing-prompts.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    (text,) = [block for block in blocks if "label_words" in block]
    plan = parse_plan(text)
    nodes = expand(plan, subjects(plan, placeholders(plan)), str)
    assert {node.way.label for node in nodes} == {"no-prompt", "pursuit", "random words"}
    assert all(len(node.asked["labels"]) == 2 * 2 * 2 for node in nodes)
    assert len([node for node in nodes if node.way.label == "random words"]) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[task]", 'judges = ["mini-judge"]\n[task]'),
            "judges: the task classify has no pictures",
        ),
        (('"pursuit"', '"soft"'), "the method soft finds no text"),
        (("restarts = 2", 'labels = "a,b"'), "unknown 'labels'"),
        (('templates = ["{text}', 'templates = ["text'), "template"),
        (('"more"\n', '"films"\n'), "films"),
        (('dataset = "more"', 'dataset = "more"\ncount = 3'), "data.count is for pictures"),
        (("shots = 3", "shot = 3"), "unknown 'shot'"),
        (
            ('{ films = ["terrible,great"', '{ films = [["terrible,great"]'),
            "task.label_words.films must be a text",
        ),
        (('name = "classify"', 'name = "invert"'), "belongs to the task classify"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_one_sentence(
    folder: Path, change: tuple[str, str], message: str
) -> None:
    text = plan_of(folder)
    assert change[0] in text
    with pytest.raises(PezError, match=message):
        parse_plan(text.replace(*change, 1))


def test_words_that_do_not_fit_the_labels_are_said(folder: Path, tmp_path: Path) -> None:
    text = (
        plan_of(folder).replace('"terrible,great"', '"bad,fair,good"').replace(f', "{BEFORE}"', "")
    )
    text = text.replace(f', "{folder}/b"]', "]").replace("seeds = [0, 1]", "seeds = [0]")
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    told = {
        row["error"] for row in rows if row["dataset"] == "films" and row["method"] == "pursuit"
    }
    assert told == {"task.label_words has 3 words for the 2 labels of films."}
    assert not [row["error"] for row in rows if row["dataset"] == "more" and row["error"]]
