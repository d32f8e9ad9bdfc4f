"""The scripts that train the photograph models: what they read, and both stages on a few words."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pez.models.photo import load_photo

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "photo"))
import again  # type: ignore[import-not-found]
import export  # type: ignore[import-not-found]
import features  # type: ignore[import-not-found]
import figures  # type: ignore[import-not-found]
import guesses  # type: ignore[import-not-found]
import heads  # type: ignore[import-not-found]
import labels  # type: ignore[import-not-found]
import pairs  # type: ignore[import-not-found]
import teachers  # type: ignore[import-not-found]
import tower  # type: ignore[import-not-found]
import train  # type: ignore[import-not-found]
import words  # type: ignore[import-not-found]
from wordnet import WordNet  # type: ignore[import-not-found]

CPU = torch.device("cpu")
WORDS = ("dog", "cat", "horse", "tree", "ball", "boat", "red", "running")
# a dictionary in WordNet's format: offset, file, words, and the offset of the hypernym
NOUNS = (
    ("00000001", 3, ("entity",), None),
    ("00000002", 5, ("animal",), "00000001"),
    ("02084071", 5, ("dog", "domestic_dog"), "00000002"),
    ("02121620", 5, ("cat",), "00000002"),
    ("02374451", 5, ("horse",), "00000002"),
    ("13104059", 20, ("tree",), "00000001"),
    ("02778669", 6, ("ball",), "00000001"),
    ("02858304", 6, ("boat",), "00000001"),
    ("10287213", 18, ("man",), "00000001"),
    ("05600637", 9, ("idea",), "00000001"),
)
VERBS = (("01926311", 38, ("run",), None), ("00597915", 31, ("think",), None))
FEATURES = 1280
SETTINGS = heads.HeadSettings(0, width=16, steps=80, batch=32, prototypes=4, dropout=0.2, rate=1e-2)
TOWER = tower.TowerSettings(0, width=64, layers=1, heads=2, steps=40, batch=32)


def dictionary(folder: Path) -> Path:
    """A folder with a few words in WordNet's files."""
    for pos, synsets in (("noun", NOUNS), ("verb", VERBS)):
        data, index = ["  1 a licence"], ["  1 a licence"]
        for offset, kind, names, above in synsets:
            named = " ".join(f"{name} 0" for name in names)
            pointers = f"001 @ {above} {pos[0]} 0000" if above else "000"
            data.append(f"{offset} {kind:02} {pos[0]} {len(names):02x} {named} {pointers} | what")
            index += [f"{name} {pos[0]} 1 0 1 0 {offset}" for name in names]
        (folder / f"data.{pos}").write_text("\n".join(data) + "\n")
        (folder / f"index.{pos}").write_text("\n".join(index) + "\n")
    (folder / "noun.exc").write_text("men man\n")
    (folder / "verb.exc").write_text("ran run\n")
    return folder


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return words.Lexicon(WORDS, WordNet(dictionary(tmp_path_factory.mktemp("wordnet"))))


def sentences(rng: np.random.Generator, count: int) -> list[tuple[str, list[int]]]:
    """Captions and the places of their words."""
    drawn = [
        sorted(rng.choice(len(WORDS), rng.integers(1, 4), replace=False)) for _ in range(count)
    ]
    return [("A " + " and a ".join(WORDS[n] for n in own), [int(n) for n in own]) for own in drawn]


@dataclass(frozen=True)
class Trained:
    """A small model, what it was made of, and the feature of each word (w, f)."""

    folder: Path
    lexicon: Any
    texts: list[str]
    data: Any
    heads: Any
    model: Any
    rows: Tensor
    directions: Tensor

    def load(self) -> Any:
        return load_photo(self.folder, "photo", CPU, torch.float32)


@pytest.fixture(scope="module")
def trained(lexicon: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model trained on features that are the sum of those of their words."""
    rng = np.random.default_rng(0)
    g = torch.Generator().manual_seed(0)
    directions = torch.randn(len(WORDS), FEATURES, generator=g)
    drawn = sentences(rng, 240)
    texts = list(dict.fromkeys(text for text, _ in drawn))
    seen = torch.stack([directions[own].sum(0) for _, own in drawn])[:, None]
    seen = seen + 0.3 * torch.randn(len(drawn), 2, FEATURES, generator=g)
    teacher = teachers.Cooccurrence(texts, width=16)
    classifier = directions[:4]
    data = heads.Examples(
        features=seen.half(),
        labels=torch.stack([labels.caption_vector([text], lexicon) for text, _ in drawn]),
        captions=[[texts.index(text)] if n % 4 else [] for n, (text, _) in enumerate(drawn)],
        weights=torch.ones(len(drawn)),
        texts=teacher.texts(texts),
        words=teacher.words(WORDS),
        bags=lexicon.bags(texts),
        prototypes=heads.prototypes(classifier, [[0], [1], [], [3]], seen[:, 0], len(WORDS)),
    )
    quiet: Any = lambda row: None  # noqa: E731
    found = heads.train_heads(data, SETTINGS, quiet)
    tokens = tower.Texts(texts, WORDS, most=600)
    rows = tower.first_rows(found, teacher, tokens, WORDS)
    trunk = features.Trunk(0)
    model = tower.start(TOWER, trunk, rows)
    tower.train_tower(model, found, data, texts, WORDS, tokens, TOWER, quiet)
    folder = tmp_path_factory.mktemp("trained") / "photo"
    export.export(folder, found, model, tokens.ids, WORDS, trunk, TOWER)
    return Trained(folder, lexicon, texts, data, found, model, rows, directions)


def test_the_loaded_model_is_the_one_that_was_trained(
    trained: Trained,
) -> None:
    reader = trained.load()
    assert reader.own_words == list(WORDS)
    own = trained.heads.images(trained.directions)
    loaded = reader.model.visual.head(trained.directions)
    near = torch.nn.functional.cosine_similarity(own, loaded)
    assert near.min() > 0.999  # what int8 leaves


def test_both_towers_learn_which_words_a_picture_shows(
    trained: Trained,
) -> None:
    reader = trained.load()
    encode = reader.tokens.encode
    ids = [encode(word)[0] for word in WORDS]
    single = tower.read(reader.model, [[tower.START, i, tower.END] for i in ids])
    shown = torch.combinations(torch.arange(len(WORDS)), 3)  # (n, 3)
    seen = reader.model.visual.head(trained.directions[shown].sum(1))
    image = torch.nn.functional.normalize(seen, dim=-1)
    alone = image @ single.T
    best = alone.topk(3).indices.sort(1).values
    assert (best == shown).float().mean() > 0.9
    lists = figures.found_lists(reader.model, image, ids, alone)
    assert all(len(set(row)) == figures.LIST for row in lists)
    right = [len(set(row) & set(own.tolist())) for row, own in zip(lists, shown, strict=True)]
    assert np.mean(right) > 2.7


def test_the_text_tower_reads_a_list_as_the_sum_of_its_words(trained: Trained) -> None:
    reader = trained.load()
    rng = np.random.default_rng(1)
    lists = [rng.choice(len(WORDS), rng.integers(2, 7), replace=False) for _ in range(64)]
    encode = reader.tokens.encode
    texts = [[tower.START, *encode(", ".join(WORDS[n] for n in own)), tower.END] for own in lists]
    added = trained.heads.weighted()
    sums = torch.stack([added[own.tolist()].sum(0) for own in lists])
    near = torch.nn.functional.cosine_similarity(tower.read(reader.model, texts), sums)
    assert near.mean() > 0.95


def test_a_tower_is_turned_into_the_space_of_other_heads(trained: Trained) -> None:
    g = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(16, 16, generator=g))
    state = dict(trained.heads.state_dict())
    state |= {"text.weight": turn.T @ state["text.weight"], "own": state["own"] @ turn}
    state["text.bias"] = state["text.bias"] @ turn
    model = tower.start(TOWER, features.Trunk(0), torch.zeros_like(trained.rows))
    taught = torch.randn(700, 16, generator=g)
    other = trained.model.state_dict()
    tower.continue_from(model, other, trained.heads, heads.Heads.of(state), taught)
    ids = [[0, 5, 9, 1], [0, 7, 1]]
    expected = tower.read(trained.model, ids) @ turn
    torch.testing.assert_close(tower.read(model, ids), expected, atol=1e-3, rtol=0)


def test_a_new_image_head_learns_from_the_tower(trained: Trained) -> None:
    """From image heads that know nothing, with captions for three of four photographs, and what the
    mean of two heads knows.
    """
    data, settings = trained.data, again.AgainSettings(seeds=(1, 2), steps=60, batch=32, rate=1e-2)
    captions = [[trained.texts[n] for n in own] for own in data.captions]
    tokens = tower.Texts(trained.texts, WORDS, most=600)
    said = again.told(trained.model, captions, trained.texts, trained.lexicon, tokens, settings)
    state = trained.heads.state_dict()
    state |= {"image.weight": torch.zeros_like(state["image.weight"])}
    blind = heads.Heads.of(state)
    new = again.image_head_again(blind, data, said, settings, lambda row: None)
    shown = torch.combinations(torch.arange(len(WORDS)), 2)
    read = torch.nn.functional.normalize(said.words, dim=-1)
    best = (new.images(trained.directions[shown].sum(1)) @ read.T).topk(2).indices.sort(1).values
    assert (best == shown).float().mean() > 0.8
    for name, kept in trained.heads.state_dict().items():
        assert name.startswith("image.") or torch.equal(new.state_dict()[name], kept)


def test_a_guess_names_labels_and_no_other(lexicon: Any) -> None:
    """Of captions that look alike the one that names the label wins, and one that names what
    another photograph shows and this one does not loses. Their words join the labels.
    """
    texts = ["a dog and a ball", "a ball", "a dog and a cat", "a horse and a ball"]
    said = guesses.words_of_bags(lexicon.bags(texts), len(WORDS))
    shows = torch.zeros(2, len(WORDS))
    shows[0, WORDS.index("dog")] = shows[1, WORDS.index("cat")] = 1
    vectors = torch.nn.functional.normalize(torch.ones(4, 4), dim=-1)
    settings = guesses.GuessSettings(captions=4, wrong=0.15)
    found = guesses.chosen_captions(vectors[:2], shows, vectors, said, settings)
    assert found[0, 0] == 0 and found[0, -1] == 2
    assert found[1, -1] == 0
    joined = guesses.with_words(shows, found, said, settings)
    ball, horse = WORDS.index("ball"), WORDS.index("horse")
    assert joined[0, WORDS.index("dog")] == 1
    assert joined[0, ball] == 0.5 and joined[0, horse] == 0  # one of four is no evidence


def test_the_exchange_loss_rewards_the_word_that_is_missing(lexicon: Any) -> None:
    """With a picture of two words that is their sum, the loss is least for these two."""
    g = torch.Generator().manual_seed(0)
    net = heads.Heads(4, torch.zeros(len(WORDS), 4), len(WORDS))
    vectors = torch.eye(len(WORDS))
    y = torch.zeros(64, len(WORDS))
    y[:, :2] = 1

    def loss(shown: list[int]) -> float:
        image = torch.nn.functional.normalize(vectors[shown].sum(0), dim=0).expand(64, -1)
        g.manual_seed(1)
        return heads._exchange(net, vectors, image, y, torch.zeros_like(y), g).item()

    assert loss([0, 1]) < loss([0, 2]) < loss([2, 3])


def test_forms_of_a_word_are_one_word(lexicon: Any) -> None:
    assert lexicon.said("Two dogs ran; the men's horses are running") == [0, 7, 2]
    places, there = lexicon.bags(["a cat", "ideas", "a boat with a cat, a cat"])
    assert [row[: int(n)] for row, n in zip(places.tolist(), there.sum(1), strict=True)] == [
        [1],
        [],
        [5, 1],
    ]
    assert lexicon.right(["horses", "horse", "cat", "boat"], ["a horse", "in a boat"]) == 2


def test_words_are_listed_if_they_can_be_seen(lexicon: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(words, "hand_list", {"added": ["castle"], "dropped": ["ball"]}.__getitem__)
    captions = ["an idea of dogs running", "dogs and a ball", "thinking of a red boat"] * 30
    found = words.word_list([*captions, "a cat"], lexicon.wordnet)
    assert set(found) == {"dogs", "running", "red", "boat", "castle"}  # "dog" itself is never said
    assert found[0] == "dogs" and found[-1] == "castle"


def test_a_class_has_the_words_of_its_name_and_of_what_it_is(lexicon: Any) -> None:
    paths = ["imagenet1000/n02084071_dog.jpg", "imagenet1000/n02858304_boat.jpg"]
    assert labels.class_words(paths, lexicon) == [[0], [5]]
    wider = words.Lexicon(("animal", "dog"), lexicon.wordnet)
    assert labels.class_words(paths[:1], wider) == [[1, 0]]


def test_labels_name_the_largest_things_surely(lexicon: Any) -> None:
    sure = labels.label_vector("person, dog, sports ball, cat, boat, big tree", lexicon)
    assert sure.tolist() == [1, 1, 0, pytest.approx(0.6), 1, pytest.approx(0.6), 0, 0]


def photographs(folder: Path, count: int = 12) -> Path:
    """A folder of flickr1000 with 1,000 captions' names, and a source of pairs.tsv."""
    flickr = folder / "flickr1000"
    (flickr / "images").mkdir(parents=True)
    (folder / "imagenet1000").mkdir()
    lines = [f'{n}.jpg,"A dog, number {n} ."' for n in range(1000)]
    (flickr / "captions.txt").write_text("image,caption\n" + "\n".join(lines) + "\n")
    rows = ["source\tpath\tkind\ttext"]
    for n in range(count):
        rows.append(f"coco128\tcoco128/{n:012}.jpg\tlabels\tcat,dog")
        rows.append(f"sports22\tsports22/{n}.jpg\tlabels\tball")
    rows.append(f"coco128\tcoco128/{0:012}.jpg\tcaption\ta cat  on a boat")
    (folder / "pairs.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_halves_share_no_photograph_and_none_is_held_out(lexicon: Any, tmp_path: Path) -> None:
    folder = photographs(tmp_path)
    notes: list[str] = []
    halves = {half: pairs.gather(folder, half, lexicon, notes.append) for half in "AB"}
    paths = {half: {p.path for p in pictures} for half, pictures in halves.items()}
    assert not paths["A"] & paths["B"]
    held = {f"flickr1000/images/{n}.jpg" for n in range(700, 1000)}
    both = paths["A"] | paths["B"]
    assert not both & held and len(both) == 700 + 12
    assert {p.source for p in halves["A"]} == {"flickr1000", "coco128"}
    assert "no pictures of grocery" in notes
    weights = {p.path: p.weight for half in halves.values() for p in half}
    assert weights["coco128/000000000000.jpg"] == 1.6  # with a caption
    assert weights["coco128/000000000001.jpg"] == pytest.approx(0.96)


def test_texts_lack_the_captions_of_held_out_pictures(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photographs")
    (tmp_path / "coco.tsv").write_text("image_id\tcaption\n1\ta  cat\n2\ta cat\n")
    lines = [f"{n}.jpg\ta dog {n}" for n in range(690, 1000)]
    (tmp_path / "flickr8k.tsv").write_text("image\tcaption\n" + "\n".join(lines) + "\n")
    every, texts = train.read_texts(tmp_path, folder)
    assert texts == ["a cat", *(f"a dog {n}" for n in range(690, 700))]
    assert len(every) == 312


def test_features_are_read_once_and_of_the_same_views(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        pixels = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    notes: list[str] = []
    kept, trunk = tmp_path / "kept" / "features.npz", features.Trunk(0)
    first = features.features(tmp_path, ["a.jpg"], trunk, 2, kept, notes.append)
    both = features.features(tmp_path, ["b.jpg", "a.jpg"], trunk, 2, kept, notes.append)
    assert both.shape == (2, 2, FEATURES) and torch.equal(both[1], first[0])
    again = features.features(tmp_path, ["a.jpg", "b.jpg"], trunk, 2, kept, notes.append)
    assert len(notes) == 2 and torch.equal(again, both.flip(0))
    assert not torch.equal(both[0, 0], both[0, 1])


def test_the_middle_view_is_what_the_model_is_given(trained: Trained) -> None:
    reader = trained.load()
    pixels = np.random.default_rng(1).integers(0, 255, (60, 81, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((540, 400), Image.Resampling.BICUBIC)
    own = features.view(image, 224, features.MIDDLE, np.random.default_rng(0))
    theirs = reader.prepare(image)
    near = torch.from_numpy(np.asarray(own).copy()).permute(2, 0, 1).float() / 127.5 - 1
    assert (near - theirs).abs().mean() < 0.02


def test_retrieval_counts_pictures_that_are_closer() -> None:
    image = torch.eye(12)
    text = torch.eye(12)[None].clone()
    text[0, 0], text[0, 1] = image[1], image[0]  # two captions change places
    found = figures.retrieval(image, text)
    assert found["retrieval_image_to_text_at_1"] == pytest.approx(10 / 12)
    assert found["retrieval_text_to_image_at_10"] == 1


def test_a_stage_is_kept_and_other_settings_are_refused(tmp_path: Path) -> None:
    quiet: Any = lambda row: None  # noqa: E731
    file = tmp_path / "x.pt"
    train.stage(file, {"steps": 1}, lambda: {"w": torch.ones(1)}, quiet)
    state = train.stage(file, {"steps": 1}, lambda: pytest.fail("trained again"), quiet)
    assert state["w"].item() == 1
    with pytest.raises(SystemExit, match="other settings"):
        train.stage(file, {"steps": 2}, dict, quiet)
