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
from pez.methods.candidates import draw_targets
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
    """

    name: ClassVar[str] = "gbda"
    forwards = 2  # the relaxed sample and the drawn prompt
    backwards = 1

    lr: float = 0.3  # Adam's, of the logits
    temperature: float = 1.0
    confidence: float = 3.0  # logit of the start's words where the others have 0
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Logits (b, k, n) that favour the start's words."""
        places = start_places(problem, rows)
        logits = self.confidence * one_hot(places, len(problem.vocabulary.ids))
        return {"logits": logits, **adam.fresh(logits)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Draw noise, move the logits by the relaxed sample, score the drawn prompt."""
        vocabulary = problem.vocabulary
        logits = state["logits"].detach().requires_grad_(True)
        noisy = logits + gumbel(rows, problem.template.slots, len(vocabulary.ids))
        relaxed = mix(vocabulary, (noisy / self.temperature).softmax(-1))
        draw = draw_targets(problem, rows, self.batch_size)
        loss, _ = problem.evaluate(relaxed, rows.item, draw)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        with torch.no_grad():
            ids = vocabulary.ids[noisy.argmax(-1)]
            _, score = problem.evaluate(vocabulary.embed(ids).float(), rows.item)
            move, moments = adam.direction(state, gradient)
            return ids, score, {"logits": logits.detach() - self.lr * move, **moments}


def gumbel(rows: Rows, *shape: int) -> Tensor:
    """Standard Gumbel noise (b, *shape), a separate draw for each row."""
    uniform = rows.uniform(*shape).clamp(1e-9, 1 - 1e-7)
    return -(-uniform.log()).log()
