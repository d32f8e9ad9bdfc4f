"""PEZ started from a bank of prompts (the row "PEZ + Bank" of Wen et al. 2023, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.pez import Pez
from pez.methods.phrases import best_first, phrase_features, read_lines, split_phrases
from pez.search.problem import Problem
from pez.search.rows import Job, Rows


@dataclass(frozen=True)
class PezBank(Pez):
    """PEZ (Algorithm 1) whose P_0 comes from a bank: a text file with one prompt per line. Words
    that are not allowed are dropped and the rest is cut to the free places. The objective scores
    each prompt of the bank once for all rows, at one forward pass per prompt
    (:meth:`start_forwards`). A row begins at its item's best prompt; if that leaves places free,
    the next best follow it. The words of a start text (``--init``) come first.
    Restart r begins at the r-th best; other seeds draw their prompts from the 16 best.

    The default is the shipped list of 2,000 captions of the synthetic world that the
    shipped models know (``data/banks``; none is a caption of a shipped sample). For pictures
    of the real world, give a list of real captions.
    """

    name: ClassVar[str] = "pez-bank"
    own_start: ClassVar[str] = "the best prompts of its bank"

    bank: str = ""  # a text file with one prompt per line

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """PEZ's state at the bank's best prompts."""
        return self.start_at(problem, self.start_ids(problem, rows))

    def start_ids(self, problem: Problem, rows: Rows) -> Tensor:
        """Ids (b, k) of each row's best prompts of the bank."""
        text = problem.init.tolist() if isinstance(problem.init, Tensor) else []
        if len(text) >= problem.template.slots:
            return problem.start_ids(rows)
        phrases, features = self._rated(problem)
        orders = best_first(problem, features, [job.item for job in rows.jobs])
        slots, out = problem.template.slots, []
        for job, generator in zip(rows.jobs, rows.generators, strict=True):
            ids: list[int] = list(text)
            order = self._drawn(orders[job.item].tolist(), job, generator)
            while len(ids) < slots:  # a small bank is reused
                for n in order:
                    ids += phrases[n]
                    if len(ids) >= slots:
                        break
            out.append(ids[:slots])
        return torch.tensor(out, device=rows.device)

    def start_forwards(self, problem: Problem) -> int:
        """One for each prompt of the bank, none where the start text takes all places."""
        text = problem.init if isinstance(problem.init, Tensor) else ()
        return 0 if len(text) >= problem.template.slots else len(self._rated(problem)[0])

    def _drawn(self, order: list[int], job: Job, generator: torch.Generator) -> list[int]:
        """The order in which a row takes the bank's prompts."""
        if job.seed:
            drawn = torch.randperm(min(16, len(order)), generator=generator).tolist()
            return [order[n] for n in drawn]
        first = job.restart % len(order)
        return order[first:] + order[:first]

    def _rated(self, problem: Problem) -> tuple[list[list[int]], Tensor]:
        """The bank's prompts as ids and their features (P, e), computed once per problem."""
        key = (PezBank, self.bank)
        if key not in problem.memo:
            lines = read_lines(self.bank or shipped_bank(), "--set bank")
            phrases = split_phrases(problem.vocabulary, lines, problem.template.slots)
            problem.memo[key] = phrases, phrase_features(problem, phrases)
        return problem.memo[key]


def shipped_bank() -> str:
    """The path of the shipped captions."""
    from pez.files import data_folder

    return str(data_folder() / "banks" / "captions.txt")
