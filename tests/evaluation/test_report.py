"""The report of a run: its figures are those worked out by hand, and strangers' texts are safe."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from runs import MadeRun, png

import pez
from pez.cli import main
from pez.evaluation.report.gallery import make_gallery
from pez.evaluation.report.pictures import load_picture
from pez.evaluation.report.rows import is_small
from pez.evaluation.stats import bootstrap_mean
from pez.evaluation.table import read_rows

HOSTILE = '<script>alert("x")</script> </script><img src=x onerror=alert(1)> & 50% of {{ 7*7 }}'
FAILED = "the <b>picture</b> is damaged; copy it again."
# similarity of both pictures of a prompt, by item, and what else there is; chosen to give round
# means: caption .5, pez .6 (b) and .7 (a), so .65, and the pairs differ by .1 and .2
PEZ, CAPTION = {"a": (0.6, 0.8), "b": (0.5, 0.7)}, {"a": (0.4, 0.6), "b": (0.5, 0.5)}


def small_run(folder: Path) -> Path:
    """Two items, the caption and pez at 8 tokens; a third item on which pez failed."""
    run = MadeRun(folder)
    for item in ("a", "b"):
        run.add(
            "web",
            item,
            "caption",
            {"mini-judge": CAPTION[item]},
            prompt=f"the caption of {item}",
            readings={"mini-judge": 0.2},
            perplexity=50.0,
            tokens=4,
            caption="a fish, red",
        )
        run.add(
            "web",
            item,
            "pez",
            {"mini-judge": PEZ[item]},
            8,
            "mini",
            0,
            prompt=HOSTILE if item == "a" else "boot fish",
            readings={"mini-judge": 0.3 if item == "a" else 0.5},
            perplexity={"a": 100.0, "b": 400.0}[item],
            tokens=8,
            real_words=0.5 if item == "a" else 1.0,
            search_score=0.9,
            forwards=300,
            backwards=200 if item == "a" else 100,
            history=[0.1, 0.4, 0.3],
        )
    run.add("web", "c", "caption", {"mini-judge": (0.5, 0.5)}, prompt="the caption of c", tokens=4)
    run.add("web", "c", "pez", {"mini-judge": (0, 0)}, 8, "mini", 0, error=FAILED)
    return run.write()


class Page(HTMLParser):
    """Tables as lists of rows of texts by caption, and everything a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self._rows: list[list[str]] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.tags.append(tag)
        self.images += [own] if tag == "img" else []
        self.loads += [str(own[name]) for name in ("src", "href", "data", "srcset") if name in own]
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th", "caption"):
            self._into = []

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "caption") and self._into is not None:
            text = " ".join("".join(self._into).split())
            self._into = None
            if tag == "caption":
                self.tables[text] = self._rows
            else:
                self._rows[-1].append(text)


def table(page: Page, start: str) -> dict[str, dict[str, str]]:
    """The cells of the one table whose caption begins so, by line and column."""
    (rows,) = [rows for caption, rows in page.tables.items() if caption.startswith(start)]
    head, *lines = rows
    return {line[0]: dict(zip(head[1:], line[1:], strict=True)) for line in lines}


@pytest.fixture(scope="module")
def written_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small run with its report."""
    folder = small_run(tmp_path_factory.mktemp("runs") / "small")
    done = pez.report(folder)
    assert done.page == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def html(written_report: Path) -> str:
    return (written_report / "report.html").read_text(encoding="utf-8")


def test_means_of_the_page_are_those_worked_out_by_hand(html: str) -> None:
    page = Page(html)
    low, high = bounds([0.7, 0.6])
    pez_line = table(page, "web, all figures")["pez, 8 tokens"]
    assert pez_line["similarity"] == f"0.650[{low:.3f}, {high:.3f}]"
    assert pez_line["text score"].startswith("0.400[")  # once a prompt, not once a picture
    assert pez_line["tokens"] == "8.0"  # of both items: an interval would say nothing
    assert pez_line["real words"].startswith("0.750[")
    assert pez_line["perplexity"].startswith("200[")  # the geometric mean of 100 and 400
    assert pez_line["seconds"] == "0.50"
    assert pez_line["passes"].startswith("450[")  # 500 and 400
    assert (pez_line["items"], pez_line["prompts"], pez_line["failed rows"]) == ("3", "2", "2")
    overview = table(page, "Similarity by data set")
    assert overview["pez, 8 tokens"]["web"] == pez_line["similarity"]
    assert overview["caption"]["web"] == "0.500"


def test_differences_pair_each_item_with_itself(html: str) -> None:
    low, high = bounds([0.2, 0.1])
    cell = table(Page(html), "Similarity, difference from caption")["pez, 8 tokens"]["web"]
    assert cell == f"+0.150 ▲[+{low:.3f}, +{high:.3f}]"  # item c failed: it is no pair


def bounds(means: list[float]) -> tuple[float, float]:
    """The interval of two items' means; its ends are the means, as two draws can be equal."""
    interval = bootstrap_mean(means)
    assert (interval.low, interval.high) == pytest.approx((min(means), max(means)))
    return interval.low, interval.high


def test_csv_parquet_and_latex_hold_the_figures_of_the_page(written_report: Path) -> None:
    from pyarrow import parquet

    text = (written_report / "report.csv").read_text(encoding="utf-8")
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(text))}
    found = rows["pez"]
    assert float(found["similarity"]) == pytest.approx(0.65)
    assert float(found["perplexity"]) == pytest.approx(200)
    assert float(found["difference"]) == pytest.approx(0.15)
    assert (found["length"], found["difference_items"], found["failed_rows"]) == ("8", "2", "2")
    assert found["small_models"] == "True"
    assert rows["caption"]["difference"] == ""
    flat = parquet.read_table(written_report / "report.parquet").to_pylist()
    shown = [{k: "" if v is None else str(v) for k, v in row.items()} for row in flat]
    assert shown == list(rows.values())
    tex = (written_report / "report.tex").read_text(encoding="utf-8")
    low, high = bounds([0.7, 0.6])
    assert rf"pez, 8 tokens & 0.650 {{\scriptsize [{low:.3f}, {high:.3f}]}} \\" in tex
    assert r"$+$" not in tex and r"+0.150\,$\blacktriangle$" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\bottomrule") == 3


def test_page_loads_nothing_from_outside(html: str) -> None:
    page = Page(html)
    assert page.loads and all(load.startswith(("data:image/", "#")) for load in page.loads)
    assert "link" not in page.tags and "@import" not in html
    assert not re.search(r"url\(|https?://", html)
    assert "default-src 'none'" in html


def test_hostile_prompts_and_reasons_are_shown_and_never_run(html: str) -> None:
    page = Page(html)
    assert page.tags.count("script") == 1 and "b" not in page.tags
    assert all(image["alt"] and "onerror" not in image for image in page.images)
    assert "&lt;script&gt;alert(" in html and "{{ 7*7 }}" in html


def test_failures_are_counted_and_told_with_their_reasons(html: str) -> None:
    found = table(Page(html), "2 rows failed")["pez, 8 tokens, mini"]
    assert found == {"rows": "2", "reason": FAILED, "items": "c"}


def test_histories_are_drawn_and_told_in_words(html: str) -> None:
    assert 'id="searches"' in html
    assert 'aria-label="web, searched on mini: best score so far over step. pez, 8 tokens: ' in html
    assert "0.100 at 1, 0.400 at 3" in html


def test_small_models_are_named_wherever_they_had_a_hand(html: str) -> None:
    page = Page(html)
    figures = [caption for caption in page.tables if "judged by" in caption]
    assert len(figures) == 3
    assert all("machinery, not quality" in caption for caption in figures)
    assert "mini, mini-judge, mini-sd know only" in " ".join(html.split())
    assert [
        is_small(name) for name in ("mini-b", "data/generators/mini-sd", "ViT-H-14 + mini")
    ] == [True] * 3
    assert not any(map(is_small, ("ViT-L-14/openai", "MiniLM", "miniature", "mine/mini", "")))


def test_gallery_shows_the_first_items_and_counts_the_rest(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    for n in range(4):
        run.add("web", f"w{n}", "caption", {"j": (0.5, 0.5, 0.5)}, prompt=f"w{n}")
        run.add("art", f"a{n}", "caption", {"j": (0.5,)}, prompt=f"a{n}")
    run.add("art", "a0", "pez", {"j": (0.5,)}, 8, "m", 0, prompt="found")
    rows = read_rows(run.write())
    gallery = make_gallery(rows, tmp_path, 3)
    assert [e.item for e in gallery.exhibits] == ["w0", "a0", "w1"]
    assert (gallery.total, gallery.left_out) == (8, (("caption", 5),))
    first = gallery.exhibits[0].cards[0]
    assert (first.prompt, len(first.pictures), first.more) == ("w0", 2, 1)
    assert make_gallery(rows, tmp_path, 3, most_bytes=10).exhibits == ()


def test_big_pictures_shrink_and_missing_ones_are_told(tmp_path: Path) -> None:
    noise = Image.effect_noise((800, 400), 90).convert("RGB")
    noise.save(tmp_path / "big.png")
    big = load_picture(tmp_path / "big.png", "")
    assert (big.width, big.height) == (256, 128)
    assert len(big.uri) < 60_000 < (tmp_path / "big.png").stat().st_size
    assert load_picture(tmp_path / "none.png", "").uri == ""


def test_verb_prints_the_page_and_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = MadeRun(tmp_path / "run")
    run.add("web", "a", "caption", {"J": (0.5,)}, prompt="x", original=png(1, 2, 3))
    folder, page = run.write(), tmp_path / "out" / "page.html"
    assert main(["report", str(folder), "--output", str(page), "--items", "0"]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert {path.suffix for path in page.parent.iterdir()} == {".html", ".csv", ".tex", ".parquet"}
    for wrong in (["--output", str(tmp_path)], ["--output", "a.pdf"], ["--items", "-1"]):
        assert main(["report", str(folder), *wrong]) == 2
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert main(["report", str(folder), "--baseline", "nobody"]) == 2
    assert "no row has the baseline" in capsys.readouterr().err
