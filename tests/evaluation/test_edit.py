"""The task edit: the plan of its page, its rule for words, its figures by a literal computation."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ROOT

import pez
from pez.errors import PezError
from pez.evaluation.editor import open_editor
from pez.evaluation.edits import places, swapped, without
from pez.evaluation.lemmas import content_words
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.report.material import read_material, unfinished
from pez.evaluation.run import evaluate
from pez.files import data_folder
from pez.images import read_image
from pez.models import Reader

pytestmark = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)
PAGE = (ROOT / "docs" / "comparing-prompts.md").read_text(encoding="utf-8")
(PLAN,) = [
    plan
    for plan in re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    if 'name = "edit"' in plan
]
NO_PICTURES = PLAN.partition("[[generators]]")[0]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """The page's plan, carried out."""
    folder = tmp_path_factory.mktemp("edit")
    return folder, evaluate(parse_plan(PLAN), folder, device="cpu")


@pytest.fixture(scope="module")
def judge() -> Reader:
    return pez.load_model("mini-judge", "cpu")


def edits_of(rows: Rows) -> dict[tuple[Any, ...], str]:
    names = ("item", "method", "against")
    return {tuple(row[n] for n in names): row["edited"] for row in rows if row["against"]}


def test_each_prompt_is_edited_by_one_word(run: tuple[Path, Rows]) -> None:
    rows = run[1]
    assert [row["error"] for row in rows] == [""] * len(rows)
    assert len(rows) == 3 * 3 * 3 and {row["against"] for row in rows} == {"", "swap", "append"}
    for row in rows:
        before, after = row["prompt"].split(), (row["edited"] or "").split()
        assert bool(after) == bool(row["against"])
        if row["against"]:
            assert not set(content_words(row["to_word"])) & set(content_words(row["prompt"]))
        if row["against"] == "swap":
            differ = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
            assert len(differ) == 1
            assert after[differ[0]] == before[differ[0]].replace(row["from_word"], row["to_word"])
        if row["against"] == "append":
            assert len(after) == len(before) + 1 and after[-1] == row["to_word"]
    added = {(row["item"], row["to_word"]) for row in rows if row["against"] == "append"}
    assert len(added) == 3  # the same for all prompts of an item


def test_the_word_that_says_most_is_swapped_for_a_near_one(run: tuple[Path, Rows]) -> None:
    folder, rows = run
    editor = open_editor("mini-b", "cpu")
    features = editor.reader.encode_text(editor.words)
    centred = torch.nn.functional.normalize(features - features.mean(0), dim=-1)
    for row in (row for row in rows if row["against"] == "swap"):
        look = editor.reader.encode_images([read_image(folder / row["source"])])[0]
        known = [
            n for n in places(row["prompt"]) if row["prompt"].split()[n].strip(",") in editor.words
        ]
        cosines = {
            n: float(editor.reader.encode_text([without(row["prompt"], n)])[0] @ look)
            for n in known
        }
        place = min(cosines, key=lambda n: cosines[n])
        assert row["edited"] == swapped(row["prompt"], place, row["to_word"])
        own = centred[editor.words.index(row["from_word"])]
        order = [editor.words[n] for n in torch.argsort(centred @ own, descending=True)]
        said, near = set(content_words(row["prompt"])), []
        for word in order:
            if not said & set(content_words(word)):
                near.append(word)
                said |= set(content_words(word))
        assert row["to_word"] in near[:5]


def test_figures_are_those_of_a_literal_computation(run: tuple[Path, Rows], judge: Reader) -> None:
    folder, rows = run
    sources = sorted({row["source"] for row in rows})
    seen = judge.encode_images([read_image(folder / source) for source in sources])

    def cosines(text: str) -> list[float]:
        return (judge.encode_text([text]) @ seen.T)[0].tolist()

    for row in (row for row in rows if row["against"]):
        own = sources.index(row["source"])
        before, after = cosines(row["prompt"]), cosines(row["edited"])
        assert row["before_score"] == pytest.approx(before[own], abs=1e-4)
        assert row["text_score"] == pytest.approx(after[own], abs=1e-4)
        assert row["before_rank"] == sum(cosine >= before[own] for cosine in before)
        assert row["after_rank"] == sum(cosine >= after[own] for cosine in after)
        one, two = judge.encode_text([row["prompt"], row["edited"]])
        assert row["edit_likeness"] == pytest.approx(float(one @ two), abs=1e-4)
        changed = row["edited"].split()
        others = [n for n in places(row["prompt"]) if row["prompt"].split()[n] == changed[n]]
        if row["against"] == "append":
            others = places(row["prompt"])
        parts = [
            [whole[own] - cosines(without(text, n))[own] for n in others]
            for text, whole in ((row["prompt"], before), (row["edited"], after))
        ]
        signs = [(a > 0) == (b > 0) for a, b in zip(*parts, strict=True)]
        if min(map(abs, parts[0] + parts[1]), default=1) > 1e-4:
            assert row["kept_signs"] == pytest.approx(sum(signs) / len(signs), abs=1e-5)
        assert 0 <= (row["kept_order"] or 0) <= 1


def test_pictures_before_and_after_are_compared(run: tuple[Path, Rows], judge: Reader) -> None:
    folder, rows = run
    plain = {(r["item"], r["method"]): r["picture"] for r in rows if not r["against"]}
    for row in (row for row in rows if row["against"]):
        before = plain[row["item"], row["method"]]
        assert row["picture"] != before
        files = [read_image(folder / name) for name in (before, row["picture"])]
        one, two = judge.encode_images(files)
        assert row["similarity"] == pytest.approx(float(one @ two), abs=1e-3)
    assert len({row["picture"] for row in rows}) == len(rows)


def test_a_report_has_a_section_for_each_edit(run: tuple[Path, Rows]) -> None:
    page = pez.report(run[0]).page.read_text(encoding="utf-8")
    for text in ("after the edit swap", "after the edit append", "kept order", "rank after"):
        assert text in page
    assert unfinished(read_material(run[0]).rows) == 0
    shown = next(row["edited"] for row in run[1] if row["against"] == "swap")
    assert f"after the edit swap: {shown}" in page


def test_edits_are_the_same_again_and_others_by_another_seed(
    run: tuple[Path, Rows], tmp_path: Path
) -> None:
    again = evaluate(parse_plan(NO_PICTURES), tmp_path, device="cpu")
    assert edits_of(again) == edits_of(run[1])
    prompts = {f: f.stat().st_mtime_ns for f in (tmp_path / "units" / "prompt").rglob("*.json")}
    made = {f: f.stat().st_mtime_ns for f in (tmp_path / "units").rglob("*.json")}
    assert evaluate(parse_plan(NO_PICTURES), tmp_path, device="cpu") == again
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "units").rglob("*.json")} == made
    seeded = NO_PICTURES.replace("seed = 0", "seed = 1")
    other = edits_of(evaluate(parse_plan(seeded), tmp_path, device="cpu"))
    assert other.keys() == edits_of(again).keys() and other != edits_of(again)
    assert {f: f.stat().st_mtime_ns for f in prompts} == prompts


def test_a_prompt_that_has_no_word_to_swap_fails_alone(tmp_path: Path) -> None:
    rival = tmp_path / "rival.csv"
    rival.write_text("item,prompt,method\nweb-06,the of,empty\nweb-06,owl sky,rival\n")
    plan = NO_PICTURES.partition("[[methods]]")[0]
    rows = evaluate(parse_plan(plan), tmp_path / "run", prompts=rival, device="cpu")
    failed = [(row["method"], row["against"]) for row in rows if row["error"]]
    assert failed == [("empty", "swap")]
    assert "no content word to swap" in next(row["error"] for row in rows if row["error"])
    fine = [row for row in rows if row["method"] == "rival" and row["against"]]
    assert len(fine) == 2 and all(row["kept_signs"] is not None for row in fine)


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('model = "mini-b"', ""), "takes its words from a model"),
        (lambda text: text.replace('"swap", ', '"swop", '), "unknown 'swop'; did you mean swap"),
        (
            lambda text: text.replace('name = "pursuit"\nlab', 'name = "soft"\nlab'),
            "no text to edit",
        ),
        (lambda text: text.replace("near = 5", "near = 0"), "task.near must be"),
        (lambda text: text.replace('["caption"]', '["soft"]'), "soft does not belong to the task"),
    ],
)
def test_plans_that_cannot_be_are_named(change: Change, message: str) -> None:
    with pytest.raises(PezError, match=message):
        parse_plan(change(NO_PICTURES))
