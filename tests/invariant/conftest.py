import pytest
import torch
from transformers.utils import logging


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Sums in one order, so that runs of two processes may be compared bit by bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    yield
    torch.set_num_threads(threads)
