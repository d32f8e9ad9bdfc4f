"""Models of photographs: a folder of ours and an image trunk from a package, as one model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from runs import MadeRun
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images
from small_clips import CPU, refusal, trained_further
from small_photos import PACKAGE, WORDS, photo_folder

import pez
import pez.models.names
from pez.cli import main
from pez.errors import PezError
from pez.files import data_folder
from pez.models import model_tokens
from pez.models.families import companions, family_of
from pez.models.identity import identity, is_on_disk, weights_hash
from pez.models.names import is_shipped, photo_names, reads_photographs, shipped_names
from pez.models.openclip import OpenClip
from pez.models.photo import Backbone, Photos, by_position, load_photo
from pez.models.quantised import SCALE

PALACE, DAISY = 698, 985  # of ImageNet's classes


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """Two real photographs, of a Chinese temple and of a flower, and a crop of each."""
    whole = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    return [*whole, *(image.crop((200, 60, 500, 360)) for image in whole)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("photos") / "photo")


@pytest.fixture(scope="module")
def photo(made: Path) -> OpenClip:
    return load_photo(made, "photo", CPU, torch.float32)


@pytest.fixture
def shipped_too(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a model of the name ``photo`` beside the shipped ones; a copy to change."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "generators").symlink_to(data_folder() / "generators")
    shutil.copytree(made, data / "models" / "photo")
    (data / "models" / "mini").symlink_to(data_folder() / "models" / "mini")
    monkeypatch.setattr(pez.models.names, "data_folder", lambda: data)
    yield data / "models" / "photo"


def test_the_trunk_reads_photographs_as_the_package_means_it(
    made: Path, photo: OpenClip, photographs: list[Image.Image]
) -> None:
    """The package's own classifier on top of our trunk's features names what is seen."""
    tensors = Backbone.of(made).read("photo")
    pixels = torch.stack([photo.prepare(image) for image in photographs[:2]])
    trunk = photo.model.visual.trunk
    logits = trunk(pixels) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert logits.argmax(1).tolist() == [PALACE, DAISY]
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), tensors.values(), strict=True)))
    torch.testing.assert_close(whole(pixels), logits, atol=1e-3, rtol=1e-4)


def test_a_batch_gives_what_single_pictures_give(
    photo: OpenClip, photographs: list[Image.Image]
) -> None:
    together = photo.encode_images(photographs)
    assert together.shape == (4, 32) and not together.requires_grad
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(4))
    for feature, image in zip(together, photographs, strict=True):
        torch.testing.assert_close(photo.encode_images([image])[0], feature, atol=1e-5, rtol=0)


def test_the_layout_in_memory_changes_no_feature(
    made: Path, photo: OpenClip, photographs: list[Image.Image]
) -> None:
    trunk = photo.model.visual.trunk
    assert trunk.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert not trunk.conv_stem.weight.is_contiguous()
    other = load_photo(made, "photo", CPU, torch.float32)
    other.model.visual.trunk.to(memory_format=torch.contiguous_format)
    own = photo.encode_images(photographs)
    torch.testing.assert_close(other.encode_images(photographs), own, atol=1e-4, rtol=0)


def test_its_words_are_known_and_all_else_is_not(photo: OpenClip) -> None:
    assert photo.own_words == list(WORDS) and photo.known is not None
    known = set(photo.known.tolist())
    assert all(set(photo.tokens.encode(word)) <= known for word in WORDS)
    assert len(known) <= 2 * len(WORDS) and not known & {0, 49406, 49407}
    assert photo.table.shape == (49408, 64) and photo.limit == 75 and photo.causal
    strange = [i for i in range(1, 49406) if i not in known]
    assert not photo.table[torch.tensor(strange)].any()


def test_matrices_of_the_file_are_scaled_by_row(made: Path, photo: OpenClip) -> None:
    stored = load_file(made / "model.safetensors")
    ids, integers = stored["token_ids"].long(), stored["token_embedding.weight"]
    assert integers.dtype == torch.int8
    by_hand = integers.float() * stored["token_embedding.weight" + SCALE].float()[:, None]
    assert by_hand.any() and torch.equal(photo.table[ids], by_hand)


def test_the_two_families_share_the_folders(
    shipped_too: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (photo_names(), shipped_names()) == (["photo"], ["mini"])
    assert isinstance(family_of("photo"), Photos) and not isinstance(family_of("mini"), Photos)
    assert companions("photo").judge == "photo-judge"
    assert model_tokens("photo").limit == 75
    assert main(["models"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("photo ")]
    assert len(lines) == 1 and "photographs" in lines[0]


def test_it_is_loaded_and_searched_by_its_name(
    shipped_too: Path, tmp_path: Path, photographs: list[Image.Image]
) -> None:
    file = tmp_path / "flower.png"
    photographs[1].save(file)
    result = pez.invert(file, model="photo", length=2, steps=2, device="cpu")
    assert isinstance(result, pez.Result)
    assert set(result.prompt.replace(",", "").split()) <= set(WORDS)
    reader = pez.load_model("photo", "cpu")
    assert reader.weights == {"photo": weights_hash("photo")}


def test_either_part_of_the_weights_makes_another_model(shipped_too: Path) -> None:
    seen = {identity("photo")}
    assert is_on_disk("photo") and "@" in identity("photo")
    (shipped_too / "README.md").write_text("a card")
    assert {identity("photo")} == seen
    trained_further(shipped_too)
    seen.add(identity("photo"))
    other = replace(Backbone.of(shipped_too), sha256="0" * 64)
    (shipped_too / "backbone.toml").write_text(other.toml())
    assert len(seen | {identity("photo")}) == 3


def test_nothing_is_written_beside_the_weights(made: Path, photo: OpenClip) -> None:
    assert {file.suffix for file in made.iterdir()} == {".toml", ".txt", ".json", ".safetensors"}
    backbone = Backbone.of(made)
    assert Backbone.installed(PACKAGE) == backbone


def test_a_missing_package_is_said_with_its_extra(shipped_too: Path) -> None:
    other = replace(Backbone.of(shipped_too), package="efficientnet-lite9-no-model")
    (shipped_too / "backbone.toml").write_text(other.toml())
    said = refusal("photo", "cpu")
    assert "efficientnet-lite9-no-model" in said and "pip install 'pez-prompts[photo]'" in said
    assert main(["score", "x.png", "a dog", "--model", "photo"]) == 2


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"file": "no/such.pth"}])
def test_another_file_than_the_one_trained_on_is_said(
    change: dict[str, str], shipped_too: Path
) -> None:
    other = replace(Backbone.of(shipped_too), **change)
    (shipped_too / "backbone.toml").write_text(other.toml())
    said = refusal("photo", "cpu")
    assert PACKAGE in said and "--force-reinstall 'pez-prompts[photo]'" in said


def test_damage_of_the_folder_is_said(shipped_too: Path) -> None:
    text = (shipped_too / "backbone.toml").read_text()
    for damaged in ('package = "x"', "package =", text.replace("file", "place")):
        (shipped_too / "backbone.toml").write_text(damaged)
        assert "backbone.toml is damaged" in refusal("photo", "cpu")
    (shipped_too / "backbone.toml").write_text(text)
    config = shipped_too / "open_clip_config.json"
    config.write_text(config.read_text().replace("lite0", "lite1"))
    assert "do not fit photo" in refusal("photo", "cpu")


def test_positions_must_agree_in_number_shape_and_kind() -> None:
    theirs = {n: torch.ones(k) for n, k in (("a.weight", 2), ("b.bias", 3), ("w", 4), ("c", 5))}
    ours = {"x.weight": torch.zeros(2), "y.bias": torch.zeros(3)}
    found = by_position(theirs, ours)
    assert list(found) == list(ours) and found["y.bias"] is theirs["b.bias"]
    for wrong in (
        {"x.weight": torch.zeros(2)},
        {"x.weight": torch.zeros(2), "y.bias": torch.zeros(4)},
        {"x.weight": torch.zeros(2), "y.weight": torch.zeros(3)},
    ):
        with pytest.raises(ValueError, match="for"):
            by_position(theirs, wrong)


def test_a_package_without_weights_is_refused() -> None:
    with pytest.raises(PezError, match="pytest holds 0 files of weights"):
        Backbone.installed("pytest")


def test_shipped_models_are_told_by_name_or_folder(shipped_too: Path) -> None:
    for name in ("photo", "pez/data/models/photo", "local-dir:data/models/photo/"):
        assert is_shipped(name) and reads_photographs(name)
    assert is_shipped("mini") and is_shipped("C:\\data\\generators\\mini-sd")
    for name in ("mine/photo", "models/photo", "photo-9", ""):
        assert not is_shipped(name) and not reads_photographs(name)
    assert not reads_photographs("mini")


def test_a_report_says_which_small_models_know_photographs(
    shipped_too: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for models, said in (
        (("photo", "photo"), "photo know common things"),
        (("photo", "mini"), "mini know only a small synthetic world"),
    ):
        run = MadeRun(tmp_path / models[1], generator="sd15")
        run.add("web", "a", "pez", {models[1]: (0.5, 0.6)}, 8, models[0], 0, prompt="a dog")
        assert main(["report", str(run.write()), "--output", str(tmp_path / "page.html")]) == 0
        page = " ".join((tmp_path / "page.html").read_text(encoding="utf-8").split())
        assert said in page and "photo know common things" in page
        assert ("machinery, not quality" in page) == ("synthetic" in page) == ("mini" in models)
    capsys.readouterr()
