"""What a report works out of rows: matrices, curves, baselines, and how it writes figures."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from runs import MadeRun

import pez
from pez.evaluation.report.charts import Chart, Curve, scores_of, search_charts, svg, ticks_of
from pez.evaluation.report.latex import escape
from pez.evaluation.report.rows import Setting, View, settings
from pez.evaluation.report.summary import parse_baseline, summarise
from pez.evaluation.report.tables import heats, written
from pez.evaluation.table import read_rows


def test_transfer_matrix_has_a_line_for_each_searched_model(tmp_path: Path) -> None:
    run = MadeRun(tmp_path, generator="sd")
    both = "A + B"
    for model, values in (
        ("A", (0.9, 0.5)),
        ("B", (0.4, 0.8)),
        (both, (0.7, 0.7)),
        ("", (0.2, 0.1)),
    ):
        similarity = {"A": (values[0],), "J": (values[1],)}
        run.add("web", "a", "pez" if model else "caption", similarity, 8 if model else None, model)
    (heat,) = heats(read_rows(run.write()))
    assert (heat.judges, heat.models) == (("A", "J"), ("A", "B", both, "caption, not searched"))
    means = [[figure.mean for figure in line if figure] for line in heat.figures]
    assert means == [[0.9, 0.5], [0.4, 0.8], [0.7, 0.7], [0.2, 0.1]]
    assert heat.own == ((True, False), (False, False), (True, False), (False, False))
    assert not heat.small


def test_readers_without_pictures_have_tables_of_their_own(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    for item, score in (("a", 0.25), ("b", 0.75)):
        readings = {"reader": score}
        run.add("web", item, "pez", {"J": (0.5,)}, 8, "m", 0, readings=readings, prompt="x")
    found = {s.view: s for s in summarise(read_rows(run.write()))}
    assert found[View("reader", "")].headline == "text_score"
    assert found[View("reader", "")].figures["text_score"].mean == 0.5
    assert "text_score" not in found[View("J", "mini-sd")].figures


def test_searches_are_drawn_as_the_best_so_far() -> None:
    rows: list[dict[str, Any]] = [
        {"method": "pez", "length": 8, "search_model": "m", "item": n, "seed": 0, "history": h}
        for n, h in enumerate(([0.2, 0.1, 0.6], [{"score": 0.4}]))
    ]
    (chart,) = search_charts(rows)
    assert chart.curves[0].xs == (1, 2, 3)
    assert chart.curves[0].ys == pytest.approx((0.3, 0.3, 0.5))
    assert scores_of({"history": [{"score": None}, math.nan, 1]}) == [1]


def test_chart_keeps_its_points_inside_and_escapes_names() -> None:
    curve = Curve("<b>", (4, 8), (0.5, 0.7), (0.4, math.nan), (0.6, math.nan))
    text = str(svg(Chart("<i>", "length", "similarity", (curve,), False)))
    assert "<b>" not in text and "<i>" not in text and "nan" not in text
    spots = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', text)
    assert spots
    left, bottom, right, top = map(float, spots.groups())
    assert 0 < left < right < 400 and 0 < top < bottom < 250


@pytest.mark.parametrize("ends", [(0.1, 0.93), (0.61, 0.63), (-0.2, 0.3), (0.5, 0.5), (1, 500)])
def test_ticks_span_the_figures(ends: tuple[float, float]) -> None:
    ticks = ticks_of(*ends)
    assert ticks[0] <= ends[0] + 1e-9 and ticks[-1] >= ends[1] - 1e-9
    assert len(ticks) <= 7


def test_latex_prints_every_sign_as_it_is() -> None:
    assert escape("random_words & 50% of #1 {a} $x") == r"random\_words \& 50\% of \#1 \{a\} \$x"
    assert escape("a\\b~c^d\n<e>") == (
        r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d \textless{}e\textgreater{}"
    )
    assert escape(written(-1234.5, 1)) == r"$-$1\,234.5"


def test_numbers_are_never_a_negative_zero() -> None:
    assert [written(v, 2, True) for v in (-0.001, 0.004, -0.01, 12.0)] == [
        "0.00",
        "0.00",
        "−0.01",
        "+12.00",
    ]


def test_baselines_come_first_and_lengths_ascend() -> None:
    rows = [
        {"method": m, "length": n, "search_model": model}
        for m, n, model in (
            ("pez", 16, "A"),
            ("pez", 8, "A"),
            ("soft", 8, "A"),
            ("caption", None, ""),
        )
    ]
    names = [setting.name() for setting in settings(rows)]
    assert names == ["soft, 8 tokens", "caption", "pez, 8 tokens", "pez, 16 tokens"]
    assert Setting("x", 1, "A").name(True) == "x, 1 token, A"


def test_a_baseline_of_several_lengths_is_met_at_the_same_length(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    for length, ours, theirs in ((4, 0.5, 0.4), (8, 0.9, 0.2)):
        run.add("web", "a", "gcg", {"J": (ours,)}, length, "m", 0, prompt="x")
        run.add("web", "a", "pez", {"J": (theirs,)}, length, "m", 0, prompt="y")
    rows = read_rows(run.write())

    def differences(baseline: str) -> list[float | None]:
        found = [s for s in summarise(rows, baseline) if s.setting.method == "gcg"]
        return [s.difference and round(s.difference.mean, 6) for s in found]

    assert differences("pez") == [0.1, 0.7]
    assert differences("pez:8") == [0.3, 0.7]
    assert differences("") == [None, None]  # no usual baseline among the rows
    assert parse_baseline(rows, "pez:4") == ("pez", 4)
    with pytest.raises(pez.PezError, match=r"no row has the baseline 'pez:5'.*one of gcg, pez"):
        parse_baseline(rows, "pez:5")


def test_a_real_run_has_a_report_with_its_searches(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'title = "Two pictures"\nmodels = ["mini"]\nreaders = ["mini-b"]\nbaselines = ["caption"]\n'
        '[data]\ndataset = "samples"\nsplit = "art"\ncount = 2\n'
        '[[methods]]\nname = "pez"\nlengths = [4]\nsteps = 3\noptions = { history = true }\n'
    )
    rows = pez.evaluate(plan, tmp_path / "run", device="cpu")
    done = pez.report(tmp_path / "run")
    text = done.page.read_text(encoding="utf-8")
    found = [row["prompt"] for row in rows if row["method"] == "pez"]
    assert len(found) == 4  # two pictures, two readers
    assert all(f'<p class="prompt">{prompt}</p>' in text for prompt in found)
    assert "<h1>Two pictures</h1>" in text and "searched on mini: best score so far" in text
    assert "Not finished" not in text
    assert '<th scope="row">torch</th><td>2.' in text  # as the run noted it
