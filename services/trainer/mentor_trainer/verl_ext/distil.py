"""On-policy distillation: what the teacher thinks of each token that the student said, as a term of its advantage.

The student samples; the reward of a token is the teacher's log-probability minus the student's own when it said it, whose mean
is minus the reverse KL of the two (Agarwal et al., arXiv 2306.13649; Gu et al., arXiv 2306.08543). It needs a teacher with the
student's tokenizer, whose weights are here.
"""

from __future__ import annotations

import torch


def distilled(
    advantages: torch.Tensor, student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, coef: float, alone: bool
) -> torch.Tensor:
    """Advantages with the teacher's term.

    Args:
        advantages: (batch, response), those of the reward.
        student, teacher: (batch, response) log-probabilities of the tokens that the student said.
        mask: (batch, response); 1 on the student's own tokens.
        coef: weight of the term.
        alone: leave the reward's advantages out.

    Returns:
        (batch, response); 0 where the mask is.
    """
    term = coef * (teacher - student) * mask
    return term if alone else advantages * mask + term
