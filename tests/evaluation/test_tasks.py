"""Tasks: texts distilled, pictures searched together, sources mixed; each with its comparisons."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pez
from pez.errors import PezError
from pez.evaluation.expand import expand
from pez.evaluation.plan import RATIOS
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.subjects import subjects
from pez.evaluation.tasks import TASKS
from pez.evaluation.tasks.task import plain_subject
from pez.evaluation.units import Original
from pez.files import data_folder
from pez.models import Reader

pytestmark = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)
PLAN = """
models = ["mini"]
[data]
dataset = "samples"
split = "web"
count = 2
[[methods]]
name = "pez"
steps = 3
SIZES
options = { init = "random" }
[[generators]]
name = "mini-sd"
options = { steps = 2 }
"""
DISTILL = 'task = "distill"\nbaselines = ["long-prompt", "beginning"]\n'
DISTILL += PLAN.replace("SIZES", "ratios = [0.5, 0.2]")
STYLE = PLAN.replace("SIZES", "lengths = [2]").replace("[data]", '[data]\ngroup = "style"')
STYLE += (
    '[task]\nname = "together"\nof = 2\nthings = ["castle", "rocket"]\nframe = "a {thing}, {}"\n'
)
MIX = PLAN.replace("SIZES", "lengths = [4]").replace("count = 2", "count = 4")
MIX += '[task]\nname = "mix"\nSOURCES\n'
Rows = list[dict[str, Any]]
Run = Callable[[str], tuple[Path, Rows]]


def items(count: int, **more: Any) -> list[Original]:
    """Made-up originals."""
    return [
        Original("samples", "web", f"i{n}", f"{n}" * 64, f"o/{n}.png", f"a cap {n}", "", 0, **more)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The folder and rows of a plan, carried out once."""
    known: dict[str, tuple[Path, Rows]] = {}

    def of(text: str) -> tuple[Path, Rows]:
        if text not in known:
            folder = tmp_path_factory.mktemp("run")
            known[text] = folder, evaluate(parse_plan(text), folder, device="cpu")
        return known[text]

    return of


@pytest.fixture(scope="module")
def judge() -> Reader:
    return pez.load_model("mini-judge", "cpu")


def test_a_text_is_distilled_at_each_ratio_and_compared_with_itself(
    run: Run, judge: Reader
) -> None:
    folder, rows = run(DISTILL)
    assert [r["error"] for r in rows] == [""] * len(rows)
    assert {r["against"] for r in rows} == {"long prompt"} and len(rows) == 2 * (1 + 2 + 2)
    for row in rows:
        long, size = row["caption"], len(judge.tokens.encode(row["caption"]))
        one, two = judge.encode_text([row["prompt"], long])
        assert row["text_score"] == pytest.approx(float(one @ two), abs=1e-4)
        if row["method"] == "long-prompt":
            assert row["prompt"] == long
            assert row["similarity"] < 0.9999  # drawn twice, from other noise
        else:
            assert row["tokens"] == max(1, round(row["ratio"] * size))
        if row["method"] == "beginning":
            assert long.replace(",", "").startswith(row["prompt"].replace(" ,", ""))
        assert row["sources"] == [] and (folder / row["picture"]).is_file()


def test_pictures_of_both_prompts_are_compared(run: Run, judge: Reader) -> None:
    folder, rows = run(DISTILL)
    drawn = {p.relative_to(folder).as_posix() for p in folder.rglob("units/picture/*/*.png")}
    hidden = drawn - {row["picture"] for row in rows}
    looks = {name: judge.encode_images([_opened(folder / name)])[0] for name in drawn}
    assert len(hidden) == 2  # the long prompts' own
    for item in {row["item"] for row in rows}:
        mine = [row for row in rows if row["item"] == item]
        wanted = pytest.approx([row["similarity"] for row in mine], abs=1e-3)
        found = [[float(looks[r["picture"]] @ looks[name]) for r in mine] for name in hidden]
        assert [cosines == wanted for cosines in found].count(True) == 1


def test_a_style_is_searched_in_pictures_together_and_new_things_are_drawn_with_it(
    run: Run, judge: Reader
) -> None:
    folder, rows = run('baselines = ["no-prompt", "group-name"]\n' + STYLE)
    assert [r["error"] for r in rows] == [""] * len(rows)
    assert {r["against"] for r in rows} == {"style", "style name", "thing"}
    styles = {r["item"] for r in rows}
    assert len(styles) > 3 and "oil 1" in styles
    found = [r for r in rows if r["item"] == "oil 1" and r["method"] == "pez"]
    assert {r["prompt"] for r in found} == {found[0]["prompt"]}  # one for two pictures
    assert len({r["picture"] for r in found}) == 2 == len({r["thing"] for r in found})
    for row in found:
        (drawn,) = judge.encode_images([_opened(folder / row["picture"])])
        sources = judge.encode_images([_opened(folder / name) for name in row["sources"]])
        assert len(sources) == 2
        texts = judge.encode_text([row["thing"], "oil"])
        wanted = {"style": sources.mean(0), "thing": texts[0], "style name": texts[1]}
        cosine = float(drawn @ wanted[row["against"]])
        assert row["similarity"] == pytest.approx(cosine, abs=1e-3)
    spoken = {r["prompt"] for r in rows if r["method"] == "no-prompt"}
    assert spoken == {""}
    assert {r["prompt"] for r in rows if r["method"] == "group-name"} >= {"oil", "neon"}


def _opened(path: Path) -> Any:
    from pez.images import read_image

    return read_image(path)


@pytest.mark.parametrize("sources", ["pictures", "texts"])
def test_a_mix_is_compared_with_both_sources_and_the_weaker(
    run: Run, judge: Reader, sources: str
) -> None:
    folder, rows = run(
        'baselines = ["joined"]\n' + MIX.replace("SOURCES", f'sources = "{sources}"')
    )
    assert [r["error"] for r in rows] == [""] * len(rows) and len(rows) == 2 * 2 * 3
    for method in ("joined", "pez"):
        for item in {r["item"] for r in rows}:
            own = {r["against"]: r for r in rows if (r["method"], r["item"]) == (method, item)}
            for name in ("similarity", "text_score"):
                both = [own[part][name] for part in ("first source", "second source")]
                assert own["weaker source"][name] == pytest.approx(min(both), abs=2e-6)
                assert both[0] != both[1]
            first = own["first source"]
            texts = first["caption"].split(" | ")
            assert len(texts) == 2 and " + " in item
            if method == "joined":
                assert first["prompt"] == " and ".join(texts)
            (drawn,) = judge.encode_images([_opened(folder / first["picture"])])
            if sources == "texts":
                (one,) = judge.encode_text(texts[:1])
            else:
                (one,) = judge.encode_images([_opened(folder / first["sources"][0])])
            assert first["similarity"] == pytest.approx(float(drawn @ one), abs=1e-3)


def test_the_report_has_a_table_for_each_reference_and_a_curve_over_ratios(run: Run) -> None:
    folder, _ = run(DISTILL)
    page = pez.report(folder).page.read_text(encoding="utf-8")
    assert "length as a share of the long prompt&#39;s" in page and "pez, ratio 0.2" in page
    folder, _ = run('baselines = ["no-prompt", "group-name"]\n' + STYLE)
    page = pez.report(folder).page.read_text(encoding="utf-8")
    assert "drawn by mini-sd, against the style name" in page
    assert "Similarity: cosine of the picture and the name of the thing" in page
    with (folder / "report.csv").open(encoding="utf-8", newline="") as file:
        found = {(r["method"], r["against"]) for r in csv.DictReader(file)}
    assert len(found) == 3 * 3


def test_a_second_run_of_a_task_does_nothing(run: Run) -> None:
    folder, rows = run(DISTILL)
    before = {f: f.stat().st_mtime_ns for f in folder.rglob("units/*/*/*")}
    assert evaluate(parse_plan(DISTILL), folder, device="cpu") == rows
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("units/*/*/*")} == before


def test_plans_of_pictures_name_the_units_they_always_did() -> None:
    plan = parse_plan(PLAN.replace("SIZES", "lengths = [4]"))
    (node,) = expand(plan, list(map(plain_subject, items(1))), str)
    assert set(node.unit.spec) == {"item", "search", "models"}
    (drawn,) = node.pictures
    assert set(drawn.unit.spec) == {"prompt", "generator", "options", "image_seed", "noise"}
    assert drawn.unit.spec["noise"] == 696943203
    (score,) = drawn.scores.values()
    assert score.spec == {"picture": drawn.unit.key, "judge": "mini-judge"}
    (reading,) = node.readings.values()
    assert reading.spec == {"prompt": node.unit.key, "judge": "mini-judge"}


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (DISTILL, ("ratios = [0.5, 0.2]", "ratios = [0.5, 0.3]")),
        (STYLE, ("of = 2", "of = 3")),
        (MIX, ("SOURCES", "weights = [0.9, 0.1]")),
        (MIX, ("SOURCES", 'sources = "texts"')),
    ],
)
def test_what_decides_a_tasks_prompt_is_in_its_name(text: str, change: tuple[str, str]) -> None:
    assert change[0] in text
    keys = []
    for one in (text, text.replace(*change)):
        plan = parse_plan(one.replace("SOURCES", ""))
        nodes = expand(plan, subjects(plan, items(12, group="oil")), str)
        keys.append({n.unit.key for n in nodes if n.way.how == "search"})
    assert keys[0] != keys[1]


def test_items_of_a_group_make_whole_prompts_and_too_few_are_told() -> None:
    plan = parse_plan(STYLE)
    listed = items(5, group="oil")
    assert [s.original.item for s in subjects(plan, listed)] == ["oil 1", "oil 2"]
    with pytest.raises(PezError, match="has the 2 items that the task together takes"):
        subjects(plan, listed[:1])
    broken = Original("samples", "web", "bad", "", "", "", "", 0, "cut off", "oil")
    (known, *_) = subjects(plan, [listed[0], broken])
    assert known.original.error == "bad: cut off"
    assert len(subjects(parse_plan(MIX.replace("SOURCES", "")), items(5))) == 2


def test_an_item_without_a_text_is_told_and_stops_nothing() -> None:
    plan = parse_plan(DISTILL)
    blank = Original("samples", "web", "x", "0" * 64, "o/x.png", " ", "", 0)
    first, second = subjects(plan, [blank, *items(1)])
    assert "neither a prompt nor a caption" in first.original.error and not second.original.error
    assert {n.way.ratio for n in expand(plan, [second], str)} == {None, 0.5, 0.2}
    assert parse_plan(DISTILL.replace("ratios = [0.5, 0.2]", "")).all_sizes == tuple(
        (None, ratio) for ratio in sorted(RATIOS)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('task = "distil"\n' + PLAN.replace("SIZES", ""), "did you mean distill"),
        (DISTILL.replace("ratios = [0.5, 0.2]", "lengths = [4]"), "distill uses ratios"),
        (PLAN.replace("SIZES", "ratios = [0.5]"), "invert uses lengths"),
        (DISTILL.replace("0.2]", "1.5]"), "methods.ratios must be above 0 and at most 1"),
        (DISTILL.replace('"beginning"', '"caption"'), "caption does not belong to the task"),
        (STYLE.replace("a {thing}, {}", "a {thing}"), "must hold {thing} and {}"),
        (STYLE.replace('name = "together"', 'name = "mix"'), "of belongs to the task together"),
        (MIX.replace("SOURCES", "weights = [1]"), "task.weights must be a list of two"),
        (MIX.replace("SOURCES", 'sources = "sounds"'), "task.sources: unknown 'sounds'"),
        (PLAN.replace("SIZES", 'ratio = "x"'), r"\[methods\]: unknown 'ratio'"),
        (STYLE.replace('name = "pez"', 'name = "soft"'), "no text to put into a frame"),
        (STYLE.partition("[task]")[0], "data.group belongs to the task together"),
    ],
)
def test_a_task_that_cannot_be_is_named(text: str, message: str) -> None:
    with pytest.raises(PezError, match=message):
        parse_plan(text)


def test_a_new_task_is_one_file_and_one_line(
    tmp_path: Path, judge: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "pairs", "toy_tasks:Pairs")
    text = PLAN.replace("SIZES", "lengths = [2]").replace("count = 2", "count = 4")
    text = 'baselines = ["shouted"]\n' + text + '[task]\nname = "pairs"\nevery = 2\n'
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert [r["error"] for r in rows] == [""] * 4 and {r["method"] for r in rows} == {
        "shouted",
        "pez",
    }
    for row in rows:
        one, two = judge.encode_text([row["prompt"], row["caption"]])
        assert row["text_score"] == pytest.approx(float(one @ two), abs=1e-4)
        assert (row["prompt"] == row["caption"].upper()) == (row["method"] == "shouted")
    page = pez.report(tmp_path).page.read_text(encoding="utf-8")
    assert "cosine of the prompt and the caption, under the judge" in page
    with pytest.raises(PezError, match="every belongs to the task pairs, not mix"):
        parse_plan(text.replace('"pairs"', '"mix"'))
