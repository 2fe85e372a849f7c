"""A real server's recorded answers are the measure: what was equal once stays equal."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from mlp_helpers.sandbox.kubernetes.metadata import utc_now
from tests.sandbox.kubernetes.replay import Caller, differences, load_cases
from tests.sandbox.kubernetes.running import running

EXPECTED = Path(__file__).with_name("expected_equal.txt")


def test_answers_that_equal_a_real_servers_stay_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = set(EXPECTED.read_text().split()) if EXPECTED.exists() else set()
    equal: set[str] = set()
    found: dict[str, list[str]] = {}
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    now = utc_now()  # stands still, for the order of managedFields follows it
    with running(tmp_path / "cluster", disabled_admission=["ServiceAccount"], clock=lambda: now) as server:
        caller = Caller(server.url)
        for case in load_cases():
            different = differences(caller, case)
            total[case["class"]] += 1
            if different:
                found[case["name"]] = different
            else:
                equal.add(case["name"])
                right[case["class"]] += 1
    with capsys.disabled():
        counts = ", ".join(f"{name} {right[name]}/{count}" for name, count in sorted(total.items()))
        print(f"\nequal to the recorded server: {len(equal)} of {sum(total.values())} ({counts})")
    if os.environ.get("MLP_TEST_RECORD"):  # after an improvement: the list only grows
        EXPECTED.write_text("".join(f"{name}\n" for name in sorted(expected | equal)))
    lost = {name: found[name][:5] for name in sorted(expected - equal)}
    assert not lost
