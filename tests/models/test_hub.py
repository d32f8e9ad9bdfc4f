"""Every path of loading through a hub of this machine, and what is said when it fails."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import open_clip.factory
import pytest
import torch
from command_line import CAPTURE, lines
from huggingface_hub import close_session, constants, hf_api
from local_hub import TOKEN, LocalHub, serve
from PIL import Image
from published import (
    BIN,
    CLIP,
    CONTROL,
    DINO,
    EMBEDDING,
    LANGUAGE,
    LORA,
    OLDER,
    SAFE,
    SD,
    WORLD,
    publish,
    tag_repository,
    tiny_architecture,
)
from safetensors.torch import load_file, save_file

from pez.cli import main
from pez.errors import PezError
from pez.evaluation.judges import open_judge
from pez.models.generators import GENERATORS, find_generator
from pez.models.hub import prepare_hub, split_revision

SCORE = "score p.png boot --device cpu --model "
SEARCH = "invert p.png --device cpu --steps 2 --length 2 --vocabulary words.txt --quiet "
READ = f"{SEARCH} --model mini --fluency 0.1 --language-model "
DRAW = "generate boot --steps 2 --device cpu --quiet --generator "
DENOISE = f"{SEARCH} --objective denoise --method ph2p --for "
OLD_TAG = tag_repository("laion2b_e16")
UNET = "unet/diffusion_pytorch_model.safetensors"

Point = Callable[..., None]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub") / "repositories"
    publish(root)
    return root


@pytest.fixture
def hub(published: Path) -> Iterator[LocalHub]:
    with serve(LocalHub(published)) as hub:
        yield hub


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Point]:
    """``point(address, home)`` makes ``address`` the hub and ``home`` the cache, as the
    environment does for a new process; the architecture ViT-B-32 and the pipelines are tiny.
    """
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), (200, 30, 30)).save("p.png")
    Path("words.txt").write_text("cat dog tree boat star")
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", tiny_architecture())
    for name, known in list(GENERATORS.items()):
        monkeypatch.setitem(GENERATORS, name, replace(known, size=16))
    for name in ("HF_TOKEN", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)

    def set_up(address: str, home: Path | None = None) -> None:
        home = home or tmp_path / "home"
        monkeypatch.setenv("HF_HUB_OFFLINE", "x")
        monkeypatch.delenv("HF_HUB_OFFLINE")  # and is put back after the test
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        form = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + form)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(hf_api.api, "endpoint", address)
        monkeypatch.setattr("transformers.utils.hub._hf_api", None)

    close_session()
    yield set_up
    close_session()


def nobody() -> str:
    """An address of this machine at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def error_of(command: str, capsys: CAPTURE) -> str:
    """The one sentence that a command ends with, and that it is one."""
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(lines(err)) == 1
    assert err.startswith("pez: ") and err.endswith(".\n")
    return err


WORKS = {
    "tag as safetensors": SCORE + "ViT-B-32/laion2b_s34b_b79k",
    "tag as bin": SCORE + "ViT-B-32/laion2b_e16",
    "hf-hub": SCORE + f"hf-hub:{CLIP}",
    "revision": SCORE + f"hf-hub:{CLIP}@{OLDER}",
    "tokenizer elsewhere": SCORE + f"hf-hub:{WORLD}",
    "revision with tokenizer": SCORE + f"hf-hub:{WORLD}@{OLDER}",
    "tokens": f"tokens boot --model hf-hub:{WORLD}",
    "tokens of a revision": f"tokens boot --model hf-hub:{CLIP}@{OLDER}",
    "search": SEARCH + f"--model hf-hub:{CLIP}",
    "language model": READ + LANGUAGE,
    "language model's revision": READ + f"{LANGUAGE}@{OLDER}",
    "denoise": DENOISE + "sd15",
    "denoise by v": DENOISE + "sd21",
    "sd15": DRAW + "sd15",
    "sd21": DRAW + "sd21",
    "sdxl": DRAW + "sdxl",
    "sd3": DRAW + "sd3",
    "flux": DRAW + "flux",
    "pipeline's revision": DRAW + f"{SD}@{OLDER}",
    "lora": DRAW + f"sd15 --lora {LORA}=0.7",
    "embedding": DRAW + f"sd15 --embedding {EMBEDDING}",
    "control": DRAW + f"sd15 --control p.png --control-kind ready --control-model {CONTROL}",
}


@pytest.mark.parametrize("command", WORKS.values(), ids=WORKS.keys())
def test_what_was_fetched_once_works_without_a_network(
    command: str, hub: LocalHub, point: Point, capsys: CAPTURE
) -> None:
    point(hub.address)
    assert main(command.split()) == 0
    first = capsys.readouterr().out
    assert first and any(line.startswith("GET") for line in hub.asked)
    shutil.rmtree("pez-pictures", ignore_errors=True)
    hub.asked.clear()
    point(nobody())
    start = time.monotonic()
    assert main(command.split()) == 0
    assert time.monotonic() - start < 10, "one retry of the hub takes half a minute"
    assert capsys.readouterr().out == first
    assert not hub.asked


def test_revisions_are_other_weights(hub: LocalHub, point: Point, capsys: CAPTURE) -> None:
    point(hub.address)
    for model in (f"hf-hub:{CLIP}", f"hf-hub:{CLIP}@{OLDER}"):
        assert main((SCORE + model).split()) == 0
    one, other = lines(capsys.readouterr().out)
    assert one != other
    assert f"HEAD {CLIP}/resolve/{OLDER}/{SAFE}" in hub.asked


def test_a_judge_comes_from_the_hub(hub: LocalHub, point: Point) -> None:
    point(hub.address)
    pictures = [Image.new("RGB", (28, 28), colour) for colour in ("red", "blue")]
    assert open_judge(f"dino:{DINO}", "cpu").similarities(pictures, pictures) == pytest.approx(
        [1, 1]
    )
    with pytest.raises(PezError, match=r"no repository eyes/none"):
        open_judge("dino:eyes/none", "cpu")


FAULTS = {"gated": r"accepted its licence.*auth login", "disabled": "has closed", "503": "503"}
FAULTS |= {"429": "limits downloads of .* just now", "half": "broke off", "short": "incomplete"}
FAULTS |= {"other": "is damaged.*delete its folder"}
LOADS = {
    SCORE + f"hf-hub:{CLIP}": (CLIP, SAFE),
    SCORE + "ViT-B-32/laion2b_e16": (OLD_TAG, BIN),
    READ + LANGUAGE: (LANGUAGE, "model.safetensors"),
    DRAW + "sd15": (SD, UNET),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failures_are_told_apart(
    fault: str, hub: LocalHub, point: Point, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    point(hub.address)
    for command, (repo, file) in LOADS.items():
        whole = fault in ("gated", "disabled", "503", "429")
        hub.faults = {repo if whole else f"{repo}/{file}": fault}
        said = error_of(command, capsys)
        pattern = re.compile(FAULTS[fault])
        assert pattern.search(said), said
        assert repo in said or command.split()[-1] in said


def test_a_file_in_the_way_of_the_cache_is_named(
    hub: LocalHub, point: Point, capsys: CAPTURE, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    point(hub.address, tmp_path / "file")
    for command in [*LOADS, SCORE + f"hf-hub:{CLIP}@{OLDER}"]:
        said = error_of(command, capsys)
        assert "cannot be written" in said and "HF_HOME" in said and str(tmp_path) in said


WRONG = {
    SCORE + "hf-hub:no/body": "no repository no/body.*check the name",
    READ + "no/body": "no repository no/body",
    DRAW + "no/body": "no repository no/body",
    DRAW + "sd15 --lora no/body": "no repository no/body",
    DRAW + "sd15 --embedding no/body": "no repository no/body",
    "tokens boot --model hf-hub:no/body": "no repository no/body",
    SCORE + f"hf-hub:{CLIP}@v9": "no revision 'v9'",
    READ + f"{LANGUAGE}@v9": "no revision 'v9'",
    DRAW + f"{SD}@v9": "no revision 'v9'",
    DRAW + f"sd15 --lora {LORA}@v9": "no revision 'v9'",
    SCORE + f"hf-hub:{CLIP}@": "names no revision",
    SCORE + f"hf-hub:{LANGUAGE}": "no file open_clip_config.json",
    f"tokens boot --model hf-hub:{LANGUAGE}": "no file open_clip_config.json",
    DRAW + CLIP: "model_index.json",
    DRAW + f"sd15 --embedding {CLIP}": "no file learned_embeds",
    SCORE + "hf-hub:a/b/c": "owner/name",
}


def test_a_lora_of_the_hub_is_looked_at_as_a_local_one_is(
    published: Path, hub: LocalHub, point: Point, capsys: CAPTURE
) -> None:
    (plain,) = (published / LORA).glob("*.safetensors")
    tensors = load_file(plain)
    name = next(key for key in tensors if "lora" in key and key.endswith("B.weight"))
    scale = {name.replace("lora_B.weight", "dora_scale"): torch.ones(len(tensors[name]), 1)}
    for repo, files in {
        "styles/dora": {"pytorch_lora_weights": tensors | scale},
        "styles/two": {"one": tensors, "two": tensors},
    }.items():
        (published / repo).mkdir()
        for stem, held in files.items():
            save_file(held, published / repo / f"{stem}.safetensors")
    point(hub.address)
    draw = f"{DRAW}sd15 --lora"
    assert "is a DoRA" in error_of(f"{draw} styles/dora", capsys)
    assert "several files of weights" in error_of(f"{draw} styles/two", capsys)


def test_wrong_names_are_told_apart(hub: LocalHub, point: Point, capsys: CAPTURE) -> None:
    point(hub.address)
    for command, pattern in WRONG.items():
        said = error_of(command, capsys)
        assert re.search(pattern, said), said


def test_an_empty_cache_without_a_network_is_said_at_once(
    point: Point, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    for forbidden in (False, True):
        point(nobody())
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", forbidden)
        for command in LOADS:
            assert "not cached and cannot be downloaded" in error_of(command, capsys)
    assert time.monotonic() - start < 20, "one retry of the hub takes half a minute"


def test_a_hub_forbidden_by_the_user_is_not_blamed(
    hub: LocalHub, point: Point, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    point(hub.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in error_of(SCORE + f"hf-hub:{CLIP}", capsys)


@pytest.mark.parametrize("silent", ["everywhere", "models"])
def test_a_silent_hub_is_not_waited_for(
    silent: str, hub: LocalHub, point: Point, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    repositories = [repo for repo, _ in LOADS.values()]
    hub.faults = dict.fromkeys([""] if silent == "everywhere" else repositories, "silent")
    point(hub.address)
    for command in LOADS:
        start = time.monotonic()
        said = error_of(command, capsys)
        assert time.monotonic() - start < 12
        assert hub.address in said and "cached" in said


def test_a_token_is_used_and_a_wrong_one_named(
    hub: LocalHub, point: Point, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    point(hub.address)
    hub.faults = {CLIP: "gated"}
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    assert "token" in error_of(SCORE + f"hf-hub:{CLIP}", capsys)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main((SCORE + f"hf-hub:{CLIP}").split()) == 0


def test_a_new_process_reads_all_of_this_from_its_environment(
    hub: LocalHub, tmp_path: Path
) -> None:
    """HF_ENDPOINT and HF_HOME are read when the hub's client is imported."""
    place = str(Path(__file__).resolve().parents[2])
    base = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    base |= {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": place}
    found = []
    for address in (hub.address, nobody()):
        done = subprocess.run(
            [sys.executable, "-m", "pez", "tokens", "a boot", "--model", f"hf-hub:{CLIP}@{OLDER}"],
            env=base | {"HF_ENDPOINT": address},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found.append((done.stdout, done.stderr))
    assert found[0] == found[1]


def test_ids_split_into_name_and_revision(tmp_path: Path) -> None:
    assert split_revision("owner/name") == ("owner/name", None)
    assert split_revision("owner/name@refs/pr/1") == ("owner/name", "refs/pr/1")
    folder = tmp_path / "mine@home"
    folder.mkdir()
    assert split_revision(str(folder)) == (str(folder), None)
    with pytest.raises(PezError, match="names no revision"):
        split_revision("owner/name@")
    known = find_generator(f"{SD}@{OLDER}")
    assert (known.name, known.source, known.steps) == ("sd15", f"{SD}@{OLDER}", 25)


def test_a_hub_that_answers_is_asked(hub: LocalHub, point: Point) -> None:
    point(hub.address)
    prepare_hub()
    assert not constants.HF_HUB_OFFLINE and hub.asked == ["HEAD "]
