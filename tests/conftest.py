"""What the tests share: the small shipped model, CLIP's tokenizer and a few pictures."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from common import ROOT, ProblemMaker, drawn
from gguf_packages import smollm2_linked
from huggingface_hub import constants
from open_clip.model import set_model_preprocess_cfg
from PIL import Image
from tiny_towers import CAUSAL, WHOLE, load, save_model
from torch import Tensor

import pez
import pez.session.session
from pez.files import kept_ids
from pez.models import Reader, open_language_model
from pez.models.language import LanguageModel
from pez.models.openclip import OpenClip, wrap
from pez.models.prior import Prior
from pez.objectives.match import Match, Targets
from pez.options import SearchOptions
from pez.search.problem import Problem
from pez.search.template import parse_template
from pez.search.tokens import Tokens
from pez.session.session import reader_vocabulary

# asserts of the helpers show what they compared, as those of a test do
pytest.register_assert_rewrite("picture_files", "small_clips")


@pytest.fixture(scope="session", autouse=True)
def quiet_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Two threads at most in all, and a cache folder that no other session shares; gives the
    one that the user set.
    """
    shared = "PYTEST_XDIST_WORKER" in os.environ  # a process beside others
    torch.set_num_threads(1 if shared else min(2, torch.get_num_threads()))
    # Ray makes its workers yield to every other process: beside other tests they would wait
    os.environ.setdefault("RAY_worker_niceness", "0")
    before = os.environ.get("PEZ_CACHE")
    os.environ["PEZ_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield before
    if before is None:
        del os.environ["PEZ_CACHE"]
    else:
        os.environ["PEZ_CACHE"] = before


@pytest.fixture(autouse=True)
def hub_as_before() -> Iterator[None]:
    """A test that finds no network does not keep the next one from looking."""
    offline, said = constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")
    yield
    constants.HF_HUB_OFFLINE = offline
    if said is None:
        os.environ.pop("HF_HUB_OFFLINE", None)


@pytest.fixture(scope="session")
def mini() -> Reader:
    """The small shipped CLIP. Shared: a test that frees its image tower must load its own."""
    return pez.load_model("mini", "cpu")


@pytest.fixture(scope="session")
def other() -> OpenClip:
    """A second model with CLIP's tokenizer, random and of other widths than ``mini``."""
    torch.manual_seed(0)
    vision: dict[str, Any] = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text: dict[str, Any] = {"vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    model = open_clip.CLIP(48, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))
    set_model_preprocess_cfg(model, {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    return wrap("other", model, open_clip.SimpleTokenizer(), torch.device("cpu"))


@pytest.fixture(scope="session")
def shipped(mini: Reader) -> Callable[[str], OpenClip]:
    """Shipped models, each loaded once."""
    loaded: dict[str, Reader] = {"mini": mini}

    def get(name: str) -> OpenClip:
        if name not in loaded:
            loaded[name] = pez.load_model(name, "cpu")
        reader = loaded[name]
        assert isinstance(reader, OpenClip)
        return reader

    return get


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OpenClip]:
    """A model of each kind of ``tiny_towers``, built and loaded once, through load_model."""
    made: dict[str, OpenClip] = {}

    def get(kind: str) -> OpenClip:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = load(save_model(folder, {**CAUSAL, **WHOLE}[kind](folder)))
        return made[kind]

    return get


@pytest.fixture(scope="session")
def mini_lm() -> LanguageModel:
    """The small shipped language model."""
    return open_language_model("mini-lm", "cpu")


@pytest.fixture(scope="session")
def smollm2(quiet_machine: str | None) -> LanguageModel:
    """The real language model of a package; a test is skipped where it is not installed."""
    smollm2_linked(quiet_machine)
    return open_language_model("smollm2", "cpu")


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    """CLIP's own tokenizer."""
    return Tokens(open_clip.SimpleTokenizer(), 77, kept_ids)


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Six RGB pictures that differ: shipped samples, or drawn ones where there are none."""
    found = sorted((ROOT / "data" / "samples").glob("*/*-0[1-3].png"))[::2][:6]
    if len(found) == 6:
        return [Image.open(path).convert("RGB") for path in found]
    return [drawn(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def looks(mini: Reader, pictures: list[Image.Image]) -> Tensor:
    """Unit features (6, e) of the pictures by ``mini``."""
    return mini.encode_images(pictures)


@pytest.fixture(scope="session")
def make_problem(mini_lm: LanguageModel) -> ProblemMaker:
    """``make_problem(reader, groups, ...)``: an item for each group of features (t, e), and the
    small language model for methods that ask for one.
    """

    def make(
        reader: Reader,
        groups: Sequence[Tensor],
        length: int = 5,
        template: str = "{}",
        init: str | Tensor = "random",
        vocabulary: str = "auto",
    ) -> Problem:
        allowed = reader_vocabulary(reader, SearchOptions(vocabulary=vocabulary))
        form = parse_template(template, reader.tokens, length, (), reader.limit)
        items = [Targets(group, torch.ones(len(group))) for group in groups]
        prior = Prior.of(mini_lm, reader.tokens, allowed.ids, form.fixed.tolist())
        return Problem(allowed, form, Match(reader, items), init, language=prior)

    return make


@pytest.fixture(scope="session")
def few_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of nine words that ``mini`` knows."""
    path = tmp_path_factory.mktemp("words") / "few.txt"
    path.write_text("red blue green cat dog tree boat star apple")
    return path


@pytest.fixture(scope="module")
def problem(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> Problem:
    """Four items, a picture each."""
    return make_problem(mini, [look[None] for look in looks[:4]])


@pytest.fixture
def few(mini: Reader, looks: Tensor, make_problem: ProblemMaker, few_words: Path) -> Problem:
    """The same with nine words and two places, so that all prompts can be tried."""
    groups = [look[None] for look in looks[:4]]
    return make_problem(mini, groups, 2, "a {} and {}", vocabulary=str(few_words))


@pytest.fixture
def mini_at_hand(mini: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """``mini`` is loaded once; everything else is unchanged."""
    real = pez.objectives.match.load_model

    def load(names: str | Sequence[str], device: str = "auto", dtype: str = "float32") -> Reader:
        if list(names) != ["mini"] or device not in ("auto", "cpu") or dtype != "float32":
            return real(names, device, dtype)
        own = copy.copy(mini)
        own.free_vision = lambda: None
        return own

    monkeypatch.setattr(pez.objectives.match, "load_model", load)


@pytest.fixture
def folder(tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three pictures in ``photos``."""
    (tmp_path / "photos").mkdir()
    for n, picture in enumerate(pictures[:3]):
        picture.save(tmp_path / "photos" / f"p{n}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
