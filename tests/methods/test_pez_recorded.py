"""PEZ follows recorded runs of the literal Algorithm 1, in a fresh clone as well.

``record_pez.py`` made ``pez_trace.json``; the reference implementation's own runs, where they are
at hand, show that its literal form is the right one.
"""

import json
from pathlib import Path

import pytest
import sklearn
import torch
from common import ROOT
from pez_runs import algorithm_1
from PIL import Image
from record_pez import SAMPLES, STEPS, TRACE, looks, random_reader, record

import pez
from pez.models import load_model
from pez.models.openclip import OpenClip

REFERENCE = ROOT.parent / "shared" / "reference"
RECORDED = json.loads(TRACE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: str(recorded["length"]))
def test_recorded_runs_are_followed_id_by_id(recorded: dict) -> None:
    result = pez.invert(
        [SAMPLES / name for name in recorded["images"]],
        reader=random_reader(),
        together=True,
        vocabulary="all",
        init="ids:" + ",".join(map(str, recorded["ids"][0])),
        length=recorded["length"],
        method="pez",
        steps=STEPS,
        history=True,
    )
    assert isinstance(result, pez.Result) and result.history is not None
    assert [step["ids"] for step in result.history] == recorded["ids"]
    scores = [step["score"] for step in result.history]
    assert scores == pytest.approx(recorded["score"], abs=1e-5)


def test_the_record_is_what_its_recorder_writes_and_goes_somewhere() -> None:
    again = record()
    for mine, recorded in zip(again, RECORDED, strict=True):
        assert mine | {"score": 0} == recorded | {"score": 0}
        assert mine["score"] == pytest.approx(recorded["score"], abs=1e-7)
        assert len({tuple(ids) for ids in recorded["ids"]}) > 10
    assert TRACE.stat().st_size < 100_000


@pytest.mark.skipif(not (REFERENCE / "pez_trace.json").is_file(), reason="no recorded runs here")
def test_the_literal_form_is_that_of_the_reference_implementation() -> None:
    reader = load_model(f"local-dir:{REFERENCE / 'tiny-clip'}", "cpu")
    assert isinstance(reader, OpenClip)
    photographs = Path(sklearn.__file__).parent / "datasets" / "images"
    for recorded in json.loads((REFERENCE / "pez_trace.json").read_text()):
        pictures = [Image.open(photographs / name).convert("RGB") for name in recorded["images"]]
        path, scores = algorithm_1(
            [reader],
            torch.arange(49408),
            [looks(reader, pictures)],
            torch.tensor(recorded["ids"][0]),
            recorded["steps"],
        )
        assert path == recorded["ids"]
        assert scores == pytest.approx(recorded["score"], abs=1e-5)
