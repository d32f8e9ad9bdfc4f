"""Settings belong to the method that reads them; hooks are declared, never probed for."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from common import ROOT
from PIL import Image
from toy_method import Toy

import pez
from pez.cli import main
from pez.errors import PezError
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.methods import METHODS, method_class, methods_with, open_method, record_of
from pez.methods.settings import defaults
from pez.models import Reader
from pez.options import SETTINGS, InvertOptions
from pez.search.method import Method

CAPTURE = pytest.CaptureFixture[str]
VALUES: dict[str, Any] = {"lr": 0.5, "weight_decay": 0.25, "schedule": "cosine", "batch_size": 3}
PICTURE = str(next((ROOT / "data" / "samples").glob("*/*-02.png")))


def readers_of(setting: str) -> str:
    """How a refusal names those that read a setting."""
    *others, last = methods_with(setting)
    return f"{', '.join(others)} or {last}"


# ---- read or refused


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", METHODS)
def test_a_shared_setting_is_read_or_refused_by_name(name: str, setting: str) -> None:
    options = InvertOptions(method=name, **{setting: VALUES[setting]})
    if setting in defaults(method_class(name)):
        assert vars(open_method(options))[setting] == VALUES[setting]
        assert record_of(options)["settings"][setting] == VALUES[setting]
        return
    with pytest.raises(PezError) as refused:
        open_method(options)
    assert str(refused.value) == (
        f"the method {name} does not read {setting}; leave it out, or use {readers_of(setting)}."
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_those_that_are_said_to_read_a_setting_do(setting: str) -> None:
    names = methods_with(setting)
    assert "pez" in names and "random" not in names and names == sorted(names, key=[*METHODS].index)
    for name in names:
        open_method(InvertOptions(method=name, **{setting: VALUES[setting]}))


def test_a_setting_of_another_method_is_told_with_who_has_it() -> None:
    with pytest.raises(PezError, match=r"no option 'delay'; there are .*, but ph2p has it\.$"):
        open_method(InvertOptions(set=("delay=3",)))
    with pytest.raises(PezError, match=r"it has none, but pez, pez-bank and ph2p have it\.$"):
        open_method(InvertOptions(method="random", set=("betas=0.1,0.2",)))
    with pytest.raises(PezError, match=r"no option 'colour'; there are [\w, ]+\.$"):
        open_method(InvertOptions(set=("colour=red",)))


def test_a_refusal_is_one_sentence_before_anything_is_read(mini: Reader, capsys: CAPTURE) -> None:
    command = ["invert", PICTURE, "--model", "mini", "--method", "pursuit"]
    assert main([*command, "--lr", "55", "--schedule", "nonsense"]) == 2
    out, err = capsys.readouterr()
    refusal = f"the method pursuit does not read lr; leave it out, or use {readers_of('lr')}."
    assert out == "" and err == f"pez: {refusal}\n"
    for call in (pez.invert, pez.distill):
        with pytest.raises(PezError, match="pursuit does not read schedule"):
            call(PICTURE, reader=mini, schedule="x")


@pytest.mark.parametrize("name", METHODS)
def test_what_is_not_given_is_what_pez_methods_lists(name: str) -> None:
    own = method_class(name)
    method = open_method(InvertOptions(method=name))
    steps = {"steps": own.usual_steps} if "steps" in defaults(own) else {}
    assert method == own(**steps)


def test_ph2p_steps_as_pez_does() -> None:
    own, paper = defaults(method_class("ph2p")), defaults(method_class("pez"))
    assert own == paper | {"delay": 4}


# ---- what is recorded


def test_a_record_tells_the_settings_in_force() -> None:
    plain = record_of(InvertOptions(method="pez"))
    assert plain["settings"]["lr"] == 0.1 and plain["settings"]["steps"] == 500
    assert plain == record_of(InvertOptions(method="pez", lr=0.1, batch_size=0))
    assert plain == json.loads(json.dumps(plain))
    assert plain != record_of(InvertOptions(method="pez", lr=0.2))
    other = InvertOptions(method="pez", lr=0.1, set=("lr=0.2",))
    assert record_of(other)["settings"]["lr"] == 0.2
    assert not set(SETTINGS) & set(plain)
    assert record_of(InvertOptions())["settings"] == defaults(method_class("pursuit"))
    marks = {replace(InvertOptions(), lr=value).fingerprint() for value in (None, 0.1, 0.2)}
    assert len(marks) == 3


def test_results_of_an_earlier_version_stay_and_are_searched_again(
    tmp_path: Path, capsys: CAPTURE
) -> None:
    out = tmp_path / "out.jsonl"
    command = ["invert", PICTURE, "--model", "mini", "--steps", "2", "--length", "2"]
    command += ["--device", "cpu", "--output", str(out), "--method", "pez"]
    assert main(command) == 0
    row = json.loads(out.read_text())
    assert row["options"]["settings"]["lr"] == 0.1
    old = row | {"prompt": "old words", "options": row["options"] | VALUES}
    del old["options"]["settings"]
    out.write_text(json.dumps(old) + "\n")
    capsys.readouterr()
    for again in (True, False):
        assert main(command) == 0
        printed, err = capsys.readouterr()
        assert printed == row["prompt"] + "\n"
        assert ("earlier version of pez" in err) == again
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [r["prompt"] for r in rows] == ["old words", row["prompt"]] and rows[0] == old


# ---- a method is one class and one line


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(METHODS, "toy", ("toy_method:Toy", "one random exchange after another"))
    return "toy"


def test_a_toy_method_is_told_apart_by_its_defaults() -> None:
    method = Toy()
    assert (method.name, method.usual_steps, method.usual_style) == ("toy", 500, "words")
    assert (method.forwards, method.backwards, method.drafts, method.draft_model) == (1, 0, 0, "")
    assert not method.reads_language and not method.finds_embeddings and method.extra({}) == {}
    with pytest.raises(TypeError, match="step"):
        type("Lame", (Method,), {"start": Toy.start})()


def test_a_toy_method_serves_python(toy: str, mini: Reader, pictures: list[Image.Image]) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": toy, "length": 4, "history": True}
    result = pez.invert(pictures[0], steps=40, restarts=2, **settings)
    assert isinstance(result, pez.Result) and result.history
    assert result.method == toy and result.options["settings"] == {}
    assert result.passes == {"forward": 80, "backward": 0}
    scores = [step["score"] for step in result.history]
    assert result.score == pytest.approx(max(scores), abs=1e-5) and max(scores) > scores[0] + 0.05
    with pytest.raises(PezError, match="the method toy does not read lr; leave it out, or use pez"):
        pez.invert(pictures[0], lr=0.1, **settings)
    with pytest.raises(PezError, match="the method toy has no option 'lr'; it has none, but pez"):
        pez.invert(pictures[0], set="lr=0.1", **settings)


def test_a_toy_method_serves_the_command_line(toy: str, capsys: CAPTURE) -> None:
    command = ["invert", PICTURE, "--model", "mini", "--device", "cpu", "--method", toy, "--json"]
    assert main([*command, "--length", "3", "--steps", "5"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["method"] == toy and len(row["ids"]) == 3
    assert main(["methods"]) == 0
    assert re.search(r"^toy +one random exchange", capsys.readouterr().out, re.M)


def test_a_toy_method_serves_a_plan(toy: str, tmp_path: Path) -> None:
    text = 'models = ["mini"]\n[data]\ndataset = "samples"\nsplit = "web"\ncount = 2\n'
    text += f'[[methods]]\nname = "{toy}"\nlengths = [3]\nsteps = 4\n'
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert [(r["method"], r["error"], r["forwards"]) for r in rows] == [(toy, "", 4)] * 2
    assert all(len(r["prompt"].split()) == 3 for r in rows)
    with pytest.raises(PezError, match="the method toy does not read batch_size"):
        parse_plan(text + "options = { batch_size = 2 }\n")


# ---- declared, not probed for


def is_looked_for(node: ast.AST) -> bool:
    """Whether an attribute is probed: by hasattr, with a default, or by a name written down. What a
    registry or a dataclass's own fields do is getattr(thing, name).
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    plain = len(node.args) == 2 and isinstance(node.args[1], ast.Name)
    return node.func.id == "hasattr" or (node.func.id == "getattr" and not plain)


def test_no_hook_is_looked_for() -> None:
    found = [
        f"{path.parent.name}/{path.name}: {ast.unparse(node)}"
        for room in ("search", "methods", "objectives", "session")
        for path in sorted((ROOT / "pez" / room).glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_looked_for(node)
    ]
    # a tokenizer of open_clip that wraps one of transformers
    assert found == ["search/tokenizers.py: hasattr(full, 'tokenizer')"]
