"""Judges are a registry: one file and one line add one, and each says what it compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from common import SMALL_PLAN

import pez
from pez.cli import main
from pez.errors import PezError
from pez.evaluation.expand import expand
from pez.evaluation.judges import JUDGES, is_offline, judge_class, judge_identity, open_judge
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.sizing import placeholders
from pez.evaluation.subjects import subjects
from pez.files import data_folder
from pez.models.identity import identity

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "web"
PAINT = '[[generators]]\nname = "mini-sd"\noptions = { steps = 1 }\n'
paints = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each of two more judges."""
    monkeypatch.setitem(JUDGES, "colours", ("toy_judges:Colours", "colours, colours:CH", "colour"))
    monkeypatch.setitem(JUDGES, "words", ("toy_judges:Words", "words", "words in common"))


def test_a_new_judge_compares_two_files_and_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = (str(SAMPLES / f"web-0{n}.png") for n in (0, 1))
    assert main(["similarity", one, one, "--judge", "colours"]) == 0
    assert capsys.readouterr().out == "1.0000\n"
    found = []
    for judge in ("colours", "colours:r", "colours:g", "colours:b"):
        assert main(["similarity", one, two, "--judge", judge, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["similarity"])
    assert 0 < found[0] == min(found[1:]) < max(found[1:]) < 1
    assert main(["similarity", one, two, "--judge", "colours:x"]) == 2
    assert "there are r, g and b" in capsys.readouterr().err
    assert main(["similarity", one, two, "--judge", "words"]) == 2
    assert "words does not compare pictures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["similarity", "--help"])
    assert "colours:CH" in " ".join(capsys.readouterr().out.split())
    assert main(["models", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    judges = [row["name"] for row in listed if row["kind"] == "judge"]
    assert judges == ["dino, dino:ID", "lpips, lpips:NET", "colours, colours:CH", "words"]


@paints
def test_a_new_judge_of_pictures_scores_a_plan_and_is_explained_in_the_report(
    tmp_path: Path,
) -> None:
    text = 'judges = ["colours", "mini-judge"]\n' + SMALL_PLAN + PAINT
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    mine = [row for row in rows if row["judge"] == "colours"]
    assert len(mine) == 6 and {row["error"] for row in rows} == {""}
    for row in mine:
        pair = [tmp_path / row[name] for name in ("source", "picture")]
        assert row["similarity"] == pytest.approx(pez.similarity(*pair, judge="colours"))
        assert row["text_score"] is None  # it reads no texts
    page = pez.report(tmp_path).page.read_text(encoding="utf-8")
    assert "Similarity: nearness of mean colours of the original and the regenerated" in page
    assert "Similarity: cosine of the original and the regenerated" in page


def test_a_new_judge_of_texts_alone_reads_prompts_against_texts(tmp_path: Path) -> None:
    text = SMALL_PLAN.replace('["caption"]', '["long-prompt", "beginning"]')
    text = 'task = "distill"\njudges = ["words"]\n' + text.replace(
        "lengths = [3]", "ratios = [0.5]"
    )
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert {row["judge"] for row in rows} == {"words"} and len(rows) == 9
    for row in rows:
        mine, long = (set(row[name].split()) for name in ("prompt", "caption"))
        assert row["text_score"] == pytest.approx(len(mine & long) / len(mine | long), abs=1e-5)
        assert (row["text_score"] == 1) == (row["method"] == "long-prompt")


@pytest.mark.parametrize(
    ("task", "scores", "readings"),
    [
        ("invert", {"colours", "mini-judge"}, {"mini-judge"}),
        ("distill", {"colours", "mini-judge"}, {"mini-judge", "words"}),  # drawn from the text
        ("mix of texts", {"mini-judge"}, {"mini-judge", "words"}),
    ],
)
def test_judges_are_asked_only_what_they_compare(
    task: str, scores: set[str], readings: set[str]
) -> None:
    text = 'judges = ["colours", "words", "mini-judge"]\n' + SMALL_PLAN + PAINT
    text = text.replace('baselines = ["caption"]\n', "")
    if task == "distill":
        text = text.replace("lengths = [3]", "")
    text += '[task]\nname = "' + task.partition(" ")[0] + '"\n'
    text += 'sources = "texts"\n' if task.startswith("mix") else ""
    plan = parse_plan(text)
    nodes = [n for n in expand(plan, subjects(plan, placeholders(plan)), str) if not n.hidden]
    assert nodes
    for node in nodes:
        assert {judge for judge, _ in node.readings} == readings
        assert {judge for drawn in node.pictures for judge, _ in drawn.scores} == scores


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('judges = ["colours:x"]', "there are r, g and b"),
        ('judges = ["lpips:x"]', "there are lpips:alex"),
        ('readers = ["colours"]', "colours reads no texts"),
    ],
)
def test_a_judge_that_cannot_be_is_told_before_anything_is_done(entry: str, message: str) -> None:
    with pytest.raises(PezError, match=message):
        parse_plan(f"{entry}\n{SMALL_PLAN}")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_class("colours"), "needs", ("no_such_package",))
    with pytest.raises(PezError, match=r"colours needs no_such_package; pip install"):
        open_judge("colours")


def test_names_stand_for_weights_and_tell_whether_they_are_at_hand(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("1")
    own = f"dino:{tmp_path}"
    before = judge_identity(own, identity)
    assert before.startswith(f"{own}@")
    (tmp_path / "weights.bin").write_text("2")
    assert judge_identity(own, identity) != before
    assert judge_identity("mini-judge", identity) == identity("mini-judge") != "mini-judge"
    assert judge_identity("lpips:vgg", identity) == "lpips:vgg"
    assert [is_offline(n) for n in ("mini", own, "colours")] == [True] * 3
    assert not any(map(is_offline, ("ViT-B-32/openai", "dino", "lpips")))
