"""Random streams that survive a kill: every draw is a pure function of a named key."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(*key: int | str) -> int:
    """A 63-bit seed that depends on every part of ``key`` and on nothing else.

    Args:
        key: what the stream is for, e.g. ``(seed, "masks", optimiser_step, micro_batch, rank)``.

    Returns:
        An integer in ``[0, 2**63)``, the same on every machine and in every process.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(*key: int | str) -> torch.Generator:
    """A CPU generator seeded by :func:`derive_seed`; drawing on the CPU gives one result for every device."""
    return torch.Generator().manual_seed(derive_seed(*key))
