"""What the machine can do: threads that wait for other work are noticed."""

import pytest
import torch

from unbraid import machine


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("several", "waits"), [(0.0005, False), (0.0025, False), (0.0035, True)])
def test_threads_wait_where_several_take_far_longer_than_one(four_threads, monkeypatch, several, waits):
    seconds = {4: several, 1: 0.001}
    monkeypatch.setattr(machine, "_seconds_with", lambda threads: seconds[threads])
    assert machine.threads_wait() is waits


def test_the_number_of_threads_is_as_before(four_threads):
    machine.threads_wait()
    assert torch.get_num_threads() == 4


def test_one_thread_waits_for_no_other(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(machine, "_seconds_with", lambda threads: pytest.fail("nothing to measure"))
    assert machine.threads_wait() is False
