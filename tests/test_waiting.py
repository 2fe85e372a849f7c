"""Waiting: ends when ready, says why it waits, keeps its deadline, and is interrupted with a sentence."""

from __future__ import annotations

import pytest

from mlp_helpers.errors import WaitTimeoutError
from mlp_helpers.waiting import Interrupted, Ready, Waiting, wait_for


class Witness:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None:
        self.reasons.append(reason)


def test_it_returns_the_value_and_tells_the_watcher_why_it_waited() -> None:
    answers = iter([Waiting("one of two"), ConnectionError("refused"), Ready(7)])
    witness = Witness()

    def probe() -> Ready[int] | Waiting:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    value = wait_for(
        probe, "it", timeout_seconds=5, first_pause_seconds=0.001, passing=(ConnectionError,), watcher=witness
    )
    assert (value, witness.reasons) == (7, ["one of two", "refused"])


def test_an_exception_that_does_not_pass_is_raised_at_once() -> None:
    def probe() -> Ready[int] | Waiting:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        wait_for(probe, "it", timeout_seconds=5)


def test_the_deadline_carries_the_last_reason() -> None:
    with pytest.raises(WaitTimeoutError, match="3 of 4 pods") as late:
        wait_for(lambda: Waiting("3 of 4 pods"), "the pods", timeout_seconds=0.02, fix="kubectl get pods")
    assert late.value.fix == "kubectl get pods"


def test_an_interrupt_becomes_one_sentence() -> None:
    def probe() -> Ready[int] | Waiting:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the job"):
        wait_for(probe, "the job", timeout_seconds=5)
