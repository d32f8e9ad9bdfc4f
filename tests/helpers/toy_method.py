"""A method with nothing but what one must have: a start and a step."""

from __future__ import annotations

import torch
from torch import Tensor

from pez.search.method import Method, State
from pez.search.problem import Problem
from pez.search.rows import Rows


class Toy(Method):
    """One word of the prompt is exchanged for a random one; the better prompt goes on."""

    def start(self, problem: Problem, rows: Rows) -> State:
        """The first ids (b, k), not scored yet."""
        ids = problem.start_ids(rows)
        return {"ids": ids, "score": torch.full((len(ids),), -torch.inf, device=ids.device)}

    @torch.no_grad()
    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """Score one exchange in each row, keep it if it is better."""
        words = problem.vocabulary.ids
        place = (rows.uniform(1) * problem.template.slots).long()  # (b, 1)
        word = words[(rows.uniform(1) * len(words)).long()]
        ids = state["ids"].scatter(1, place, word)
        _, score = problem.judge(problem.vocabulary.embed(ids).float(), rows.item)
        better = score > state["score"]
        kept = torch.where(better[:, None], ids, state["ids"])
        return ids, score, {"ids": kept, "score": torch.where(better, score, state["score"])}
