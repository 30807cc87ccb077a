"""The four loss terms of DistilBERT-style distillation, as sums over rows.

Pure functions of tensors. Each returns a *sum*; the caller divides by a count taken over the whole optimiser step
(all micro-batches, all processes), because a mean per micro-batch changes with the way a batch is split.
Sanh et al. 2019, "DistilBERT, a distilled version of BERT", section 2; Ahn et al. 2022, section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def soft_target_kl(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · Σ_rows KL(softmax(t/T) ‖ softmax(s/T)) over the whole vocabulary.

    Args:
        student_logits: ``(n_rows, vocab_size)``.
        teacher_logits: ``(n_rows, vocab_size)``, not differentiated.
        temperature: T > 0; the factor T² keeps gradients of one size when T changes (Hinton et al. 2015, section 2).

    Returns:
        A scalar in at least fp32; 0 for no rows.
    """
    student = F.log_softmax(at_least_fp32(student_logits) / temperature, dim=-1)
    teacher = F.log_softmax(at_least_fp32(teacher_logits) / temperature, dim=-1)
    return F.kl_div(student, teacher, reduction="sum", log_target=True) * temperature**2


def logit_squared_error(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """Σ of squared logit differences over rows and vocabulary; both ``(n_rows, vocab_size)``; a scalar in fp32."""
    return (at_least_fp32(student_logits) - at_least_fp32(teacher_logits)).square().sum()


def masked_lm_cross_entropy(student_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Σ of cross-entropies, no temperature.

    Args:
        student_logits: ``(n_targets, vocab_size)``, rows of MLM targets only.
        labels: ``(n_targets,)`` original token ids.
    """
    return F.cross_entropy(at_least_fp32(student_logits), labels, reduction="sum")


def hidden_cosine_distance(student_hidden: torch.Tensor, teacher_hidden: torch.Tensor) -> torch.Tensor:
    """Σ of 1 − cos(student, teacher) over rows; both ``(n_rows, width)`` of equal width; a scalar in fp32."""
    cosine = F.cosine_similarity(at_least_fp32(student_hidden), at_least_fp32(teacher_hidden), dim=-1)
    return (1 - cosine).sum()


def at_least_fp32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision loses the small probabilities that a softmax over a vocabulary is made of."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
