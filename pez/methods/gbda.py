"""GBDA: a distribution over prompts, trained through Gumbel-softmax samples.

Guo, Sablayrolles, Jegou, Kiela, "Gradient-based Adversarial Attacks against Text
Transformers", EMNLP 2021, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods import adam
from pez.methods.candidates import check_counts, draw_targets
from pez.methods.simplex import mix, one_hot, start_places
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Gbda(Method):
    """Each free place i has logits Theta_i over the allowed words; a prompt is drawn from
    P_Theta place by place, z_i ~ Categorical(softmax(Theta_i)). The aim

        min over Theta of E_{z ~ P_Theta} loss(z)

    is made smooth by relaxed samples (Jang et al. 2017; Maddison et al. 2017), with
    g_ij = -log(-log(u_ij)), u uniform, and temperature T,

        pi~_ij = exp((Theta_ij + g_ij) / T) / sum_v exp((Theta_iv + g_iv) / T),

    whose embeddings are the mixtures e(pi~_i) = sum_j pi~_ij e(j). Adam moves Theta by the
    gradient of loss(e(pi~)). The prompt tried is argmax_j(Theta_ij + g_ij): an exact sample
    of P_Theta from the same noise, and the limit of pi~ for T -> 0. The paper's penalties
    for fluency and likeness belong to the objective here.

    The authors' code takes the mean gradient of 10 samples a step (``samples``), starts from logits
    of 15 at the words of a text (``confidence``), and at the end draws 100 prompts of P_Theta.
    Here one prompt is drawn at each step, and the engine keeps the best.
    """

    name: ClassVar[str] = "gbda"
    lr: float = 0.3  # Adam's, of the logits
    temperature: float = 1.0
    confidence: float = 3.0  # logit of the start's words where the others have 0
    samples: int = 1  # relaxed samples whose gradients are averaged at each step
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        check_counts(samples=self.samples)

    @property
    def forwards(self) -> int:
        """One for each relaxed sample and one for the drawn prompt."""
        return self.samples + 1

    @property
    def backwards(self) -> int:
        """One for each relaxed sample."""
        return self.samples

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Logits (b, k, n) that favour the start's words."""
        places = start_places(problem, rows)
        logits = self.confidence * one_hot(places, len(problem.vocabulary.ids))
        return {"logits": logits, **adam.fresh(logits)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Draw noise, move the logits by the relaxed samples, score the prompt drawn first."""
        vocabulary = problem.vocabulary
        logits = state["logits"].detach().requires_grad_(True)
        gradient, tried = torch.zeros_like(logits), None
        for _ in range(self.samples):
            noisy = logits + gumbel(rows, problem.template.slots, len(vocabulary.ids))
            relaxed = mix(vocabulary, (noisy / self.temperature).softmax(-1))
            draw = draw_targets(problem, rows, self.batch_size)
            loss, _ = problem.evaluate(relaxed, rows.item, draw)
            gradient = gradient + torch.autograd.grad(loss.sum(), logits)[0] / self.samples
            tried = noisy.detach().argmax(-1) if tried is None else tried
        assert tried is not None  # samples is 1 or more
        with torch.no_grad():
            ids = vocabulary.ids[tried]
            _, score = problem.evaluate(vocabulary.embed(ids).float(), rows.item)
            move, moments = adam.direction(state, gradient)
            return ids, score, {"logits": logits.detach() - self.lr * move, **moments}


def gumbel(rows: Rows, *shape: int) -> Tensor:
    """Standard Gumbel noise (b, *shape), a separate draw for each row."""
    uniform = rows.uniform(*shape).clamp(1e-9, 1 - 1e-7)
    return -(-uniform.log()).log()
