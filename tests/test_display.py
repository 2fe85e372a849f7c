"""Showing: text and HTML in one object, nothing unescaped, few lines where nobody watches."""

from __future__ import annotations

import re

import pytest

from mlp_helpers.display import Progress, card, log, table
from mlp_helpers.errors import MlpError


def test_a_card_has_a_text_and_an_html_form_with_the_state_as_a_word() -> None:
    bundle = card("Cluster", "failed", {"status": "<ERROR>"}, advice="look")._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == ["✗ Cluster: failed", "  status  <ERROR>", "  → look"]
    assert "&lt;ERROR&gt;" in bundle["text/html"]
    assert "✗ failed" in bundle["text/html"]


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    shown = table([{"n": number} for number in range(60)], caption="Numbers", limit=50)
    assert "… 10 more rows" in shown.text
    assert shown.markup.count("<tr>") == 51


def test_an_empty_table_says_so() -> None:
    assert table([], caption="Pods").text == "Pods\n(none)"


def test_a_log_shows_its_end() -> None:
    text = log("Job", [f"line {number}" for number in range(100)], tail=3).text
    assert text.splitlines() == ["Job", "… 97 earlier lines", "  line 97", "  line 98", "  line 99"]


def test_unwatched_progress_prints_little_and_ends_with_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Apply") as progress:
        for number in range(500):
            progress.update(f"resource {number}", done=number, total=500)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"✓ Apply 499/500 0:00", lines[-1])


def test_a_failed_step_says_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), Progress("Apply"):
        raise ValueError("no")
    assert capsys.readouterr().out.startswith("✗ Apply")


def test_an_error_shows_what_why_and_what_to_do_and_no_traceback() -> None:
    error = MlpError("It failed.", why="Because.", fix="Do that.")
    assert str(error).splitlines() == ["It failed.", "  Why: Because.", "  What to do: Do that."]
    assert error._render_traceback_() == [f"MlpError: {error}"]
