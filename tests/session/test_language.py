"""Language models in a search: next words, surprise, and the beam weighted by the match."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from PIL import Image
from torch import Tensor

import pez
from pez.errors import PezError
from pez.files import data_folder
from pez.methods.vgd import Vgd
from pez.models import Reader, open_language_model
from pez.models.language import LanguageModel
from pez.models.languages import shipped_languages
from pez.models.prior import Prior
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.session.session import Watch
from pez.session.styles import FUNCTION_WORDS

CPU = torch.device("cpu")
WORDS = ("<s>", "<unk>", "a", "red", "boot", "fish", "on")


def tiny(folder: Path, tokenizer: Any, start: str) -> Path:
    """The folder of a tiny GPT-2 of random weights with that tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    size = tokenizer.get_vocab_size()
    unknown = "<unk>" if "<unk>" in tokenizer.get_vocab() else None
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, unk_token=unknown
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=size, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model whose tokens are the few WORDS."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    return tiny(tmp_path_factory.mktemp("stranger"), plain, "<s>")


@pytest.fixture(scope="module")
def bytewise(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A language model with byte pairs as GPT-2's: a blank belongs to the word behind it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore
    rules = trainers.BpeTrainer(vocab_size=500, special_tokens=["<s>"], show_progress=False)
    captions = (data_folder() / "banks" / "captions.txt").read_text().splitlines()[:500]
    plain.train_from_iterator(captions, rules)
    return open_language_model(str(tiny(tmp_path_factory.mktemp("bytes"), plain, "<s>")), "cpu")


def drawn(problem: Problem, count: int, seed: int = 0) -> Tensor:
    """Random allowed ids (count, k)."""
    ids = problem.vocabulary.ids
    shape = (count, problem.template.slots)
    return ids[torch.randint(len(ids), shape, generator=torch.Generator().manual_seed(seed))]


def texts_of(problem: Problem, chosen: Tensor) -> list[str]:
    return [problem.vocabulary.tokens.decode(row) for row in problem.template.fill(chosen).tolist()]


# ---- the shipped model


def test_the_shipped_model_is_transformers_own_and_knows_the_clips_words() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shipped_languages()["mini-lm"]
    assert type(AutoModelForCausalLM.from_pretrained(folder)).__name__ == "GPT2LMHeadModel"
    words = (data_folder() / "models" / "mini" / "words.txt").read_text().split()
    split = AutoTokenizer.from_pretrained(folder)(words, add_special_tokens=False)["input_ids"]
    assert all(len(ids) == 1 for ids in split)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3_000_000


def test_the_shipped_model_tells_captions_from_the_same_words_in_disorder(
    mini_lm: LanguageModel,
) -> None:
    captions = (data_folder() / "banks" / "captions.txt").read_text().splitlines()[:50]
    disorder = [" ".join(sorted(text.split())) for text in captions]
    natural, odd = mini_lm.perplexities(captions), mini_lm.perplexities(disorder)
    assert sum(a < b for a, b in zip(natural, odd, strict=True) if a and b) > 40


def test_a_text_beyond_the_models_positions_is_read_up_to_them(mini_lm: LanguageModel) -> None:
    long = "a red rose on a blue background " * 20
    assert mini_lm.perplexities([long, "a rose"])[0] == pytest.approx(
        mini_lm.perplexities([" ".join(long.split()[:31])])[0], rel=1e-4
    )


# ---- what a search may ask


def test_surprise_is_the_log_perplexity_of_the_text(
    mini: Reader, mini_lm: LanguageModel, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [], 4, "a photo of {} in the {}")
    ids = drawn(problem, 5)
    expected = [math.log(p or 1) for p in mini_lm.perplexities(texts_of(problem, ids))]
    assert problem.nll(ids).tolist() == pytest.approx(expected, abs=1e-4)


def test_next_words_multiply_to_the_probability_of_the_prompt(
    mini: Reader, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [], 4)
    ids = drawn(problem, 3)
    place = torch.searchsorted(problem.vocabulary.ids, ids)
    steps = [problem.next_words(ids[:, :n]).gather(1, place[:, n : n + 1]) for n in range(4)]
    torch.testing.assert_close(-torch.cat(steps, 1).mean(1), problem.nll(ids), atol=1e-4, rtol=0)
    assert (problem.next_words(ids[:, :2]).exp().sum(1) <= 1 + 1e-5).all()


def test_next_words_heed_the_template_before_and_between(
    mini: Reader, make_problem: ProblemMaker
) -> None:
    spaced, plain = make_problem(mini, [], 2, "a {} in {} style"), make_problem(mini, [], 4)
    first = drawn(spaced, 3)[:, :1]
    a, inside = (plain.vocabulary.tokens.encode(word)[0] for word in ("a", "in"))
    before = torch.full_like(first, a), first, torch.full_like(first, inside)
    torch.testing.assert_close(spaced.next_words(first), plain.next_words(torch.cat(before, 1)))
    torch.testing.assert_close(spaced.next_words(first[:, :0]), plain.next_words(before[0]))


def test_a_word_of_the_template_may_be_several_tokens(
    mini: Reader, mini_lm: LanguageModel, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [], 3, "a waterfall {}")  # no word of the world
    assert isinstance(problem.language, Prior) and problem.language.pieces.shape[1] > 1
    ids = drawn(problem, 3)
    expected = [math.log(p or 1) for p in mini_lm.perplexities(texts_of(problem, ids))]
    assert problem.nll(ids).tolist() == pytest.approx(expected, abs=1e-4)


def test_words_of_byte_pairs_are_read_with_the_blank_before_them(
    problem: Problem, bytewise: LanguageModel
) -> None:
    vocabulary = problem.vocabulary
    prior = Prior.of(bytewise, vocabulary.tokens, vocabulary.ids)
    assert 50 < len(prior.ids) < len(vocabulary.ids)
    pieces = bytewise.tokenizer.convert_ids_to_tokens(prior.words.tolist())
    assert pieces == ["\u0120" + vocabulary.tokens.decode([i]) for i in prior.ids.tolist()]
    ids = prior.ids[torch.randint(len(prior.ids), (4, 5))]
    texts = [" " + vocabulary.tokens.decode(row) for row in ids.tolist()]
    expected = [math.log(p or 1) for p in bytewise.perplexities(texts)]
    assert prior.nll(ids).tolist() == pytest.approx(expected, abs=1e-4)


def test_only_words_that_are_one_token_of_the_model_are_searched(
    mini: Reader, pictures: list[Image.Image], stranger: Path
) -> None:
    told: list[str] = []
    options = {"reader": mini, "method": "vgd", "length": 2, "steps": 2, "init": "random"}
    options |= {"watch": Watch(note=told.append), "language_model": str(stranger)}
    result = pez.invert(pictures[0], **options)  # type: ignore[arg-type]
    assert set(result.prompt.split()) <= {"a", "red", "boot", "fish", "on"}  # type: ignore[union-attr]
    assert len(told) == 1 and told[0].startswith("5 of 279 words")
    with pytest.raises(PezError, match="none of the words"):
        pez.invert(pictures[0], ban=["a", "red", "boot", "fish", "on"], **options)  # type: ignore


def test_a_search_without_its_language_model_says_which_option_it_lacks(problem: Problem) -> None:
    with pytest.raises(PezError, match="--language-model"):
        search(replace(problem, language=None), Vgd(), jobs_for(1), Budget(1), CPU)


# ---- the beam


def run(problem: Problem, method: Vgd, steps: int, restarts: int = 1) -> list[Found]:
    jobs = jobs_for(2, restarts)
    found = search(problem, method, jobs, Budget(steps), CPU, keep_history=True)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


def test_one_place_judged_by_the_match_alone_gets_the_best_word(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks[:2]], 1)
    best = problem.vocabulary.ids[problem.word_scores([0, 1]).argmax(1)]
    found = run(problem, Vgd(beams=1, candidates=1000, alpha=1e6), 1)
    assert [f.ids for f in found] == best[:, None].tolist()


def test_without_match_or_hints_the_likeliest_words_are_said(problem: Problem) -> None:
    ids = torch.zeros(1, 0, dtype=torch.long)
    while ids.shape[1] < problem.template.slots:
        word = problem.vocabulary.ids[problem.next_words(ids).argmax(1)]
        ids = torch.cat([ids, word[:, None]], 1)
    for found in run(problem, Vgd(beams=1, candidates=1, alpha=0, hint=0), 3):
        assert found.ids == ids[0].tolist()


def test_more_beams_find_likelier_words(problem: Problem) -> None:
    one, ten = (Vgd(beams=n, candidates=50, alpha=0, hint=0) for n in (1, 10))
    ends = ([f.history[4]["ids"] for f in run(problem, m, 5)] for m in (one, ten))
    alone, many = map(torch.tensor, ends)
    assert (problem.nll(many) <= problem.nll(alone) + 1e-4).all()


def test_hints_are_said_once_and_bring_the_match(problem: Problem) -> None:
    words = problem.vocabulary.ids[problem.word_scores([0]).topk(3).indices[0]].tolist()
    only = Vgd(beams=2, candidates=20, hint=1, hints=3)
    said = run(problem, only, 3)[0].history[-1]["ids"][:3]  # of a prompt of five
    assert sorted(said) == sorted(words)


def test_a_start_text_stays_in_front_of_every_pass(problem: Problem) -> None:
    start = torch.tensor(problem.vocabulary.tokens.encode("a photo"))
    for found in run(replace(problem, init=start), Vgd(beams=2, candidates=8), 7):
        assert all(step["ids"][:2] == start.tolist() for step in found.history)


def test_further_passes_and_restarts_draw_other_prompts(problem: Problem) -> None:
    first, second = run(problem, Vgd(beams=2, candidates=8), 10, restarts=2)[:2]
    ends = [f.history[n]["ids"] for f in (first, second) for n in (4, 9)]
    assert len({tuple(ids) for ids in ends}) == 4


def test_the_shipped_model_opens_by_its_name_wherever_one_is_named() -> None:
    from pez.models.identity import identity

    assert open_language_model("mini-lm", "cpu").name == "mini-lm"
    assert identity("mini-lm").startswith("mini-lm@")


# ---- sentences


def test_a_sentence_says_no_word_twice_and_ends_with_none_such_as_of(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": "vgd", "style": "sentence", "length": 7}
    plain, again = (pez.invert(pictures[:3], **settings, steps=n) for n in (6, 12))
    assert isinstance(plain, list) and isinstance(again, list)
    for result in (*plain, *again):
        assert isinstance(result, pez.Result)
        words = result.prompt.split()
        content = [word for word in words if word not in FUNCTION_WORDS]
        assert words[0] == "a" and len(words) == 7
        assert len(set(content)) == len(content) and {words[1], words[-1]} <= {*content}


def test_a_partial_sentence_is_completed_without_the_language_model(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": "vgd", "style": "sentence", "length": 7}
    result = pez.invert(pictures[0], **settings, steps=3)
    assert isinstance(result, pez.Result)
    words = result.prompt.split()
    assert len(words) == 7 and len(set(words)) == len(words)
    whole = pez.invert(pictures[0], **settings, steps=6)
    assert isinstance(whole, pez.Result) and whole.perplexity and result.perplexity
    assert whole.perplexity < result.perplexity


def test_progress_and_history_show_the_scores_of_partial_sentences(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    seen: list[tuple[float, str]] = []
    watch = Watch(progress=lambda progress, prompt: seen.append((progress.score, prompt)))
    for init in ("auto", "random"):
        settings: dict[str, Any] = {"set": ["guide=start"]} if init == "random" else {}
        result = pez.invert(
            pictures[0], reader=mini, watch=watch, method="vgd", style="sentence", length=5,
            steps=9, history=True, init=init, **settings,
        )  # fmt: skip
        assert isinstance(result, pez.Result) and result.history
        tried = [(one["score"], mini.tokens.decode(one["ids"])) for one in result.history]
        own = pez.score(pictures[0], [prompt for _, prompt in (*tried, *seen)], reader=mini)
        assert [score for score, _ in (*tried, *seen)] == pytest.approx(own, abs=1e-4)
    assert len(seen) == 18


def test_a_sentence_needs_a_language_model(mini: Reader, pictures: list[Image.Image]) -> None:
    with pytest.raises(PezError, match="add --method sentence or --fluency"):
        pez.invert(pictures[0], reader=mini, style="sentence", length=5, steps=1)


def test_smollm2_writes_sentences_for_a_model_without_words_such_as_of(
    smollm2: LanguageModel,
) -> None:
    shown = sorted((data_folder() / "samples" / "photographs").glob("*.jpg"))[0]
    photo = pez.load_model("photo", "cpu")
    told: list[str] = []
    result = pez.invert(
        shown, reader=photo, watch=Watch(note=told.append), method="vgd", style="sentence",
        length=5, steps=4, language_model="smollm2", set=("beams=3", "candidates=20", "alpha=0.3"),
    )  # fmt: skip
    assert isinstance(result, pez.Result) and result.perplexity and result.perplexity < 2000
    assert result.prompt.startswith("a ") and len(result.prompt.split()) == 5
    assert [p and round(p, 2) for p in smollm2.perplexities([result.prompt])] == [
        round(result.perplexity, 2)
    ]
    assert len(told) == 1 and "are one token of smollm2" in told[0]
