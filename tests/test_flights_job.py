"""The flights job's figures, against plain pandas over the whole table, written independently of the job."""

from __future__ import annotations

import base64
import importlib.util
import sys
from types import ModuleType

import pandas as pd
import pytest

from mlp_helpers.datasets import count_arrivals, flights_folder
from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.plots import plot_delays


def load_job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("delays", PROJECT_FOLDER / "jobs/flights/delays.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["delays"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_csv(flights_folder() / "flights.csv.zip")


def independent_statistics(flights: pd.DataFrame) -> dict[tuple[str, str], tuple[int, float, float]]:
    """Group, value: flights, mean delay, share of late arrivals; row by row over a dictionary of the weather."""
    weather = pd.read_csv(flights_folder() / "weather.csv")
    words = {}
    for row in weather.itertuples():
        word = "clear"
        if row.wind_speed >= 20:
            word = "windy"
        if row.precip > 0:
            word = "rain or snow"
        if row.visib < 3:
            word = "poor visibility"
        words[row.origin, row.time_hour] = word
    found: dict[tuple[str, str], list[float]] = {}
    for row in flights[["carrier", "origin", "hour", "time_hour", "arr_delay"]].itertuples():
        if pd.isna(row.arr_delay):
            continue
        keys = [
            ("carrier", row.carrier),
            ("hour", f"{row.hour:02d}"),
            ("weather", words.get((row.origin, row.time_hour), "unknown")),
        ]
        for key in keys:
            found.setdefault(key, []).append(row.arr_delay)
    return {
        key: (len(delays), sum(delays) / len(delays), sum(delay >= 15 for delay in delays) / len(delays))
        for key, delays in found.items()
    }


def assert_equal_to_independent(result: pd.DataFrame, flights: pd.DataFrame) -> None:
    mine = {
        (row.group, row.value): (row.flights, row.mean_delay_minutes, row.late_share) for row in result.itertuples()
    }
    assert mine == independent_statistics(flights)


def test_the_figures_equal_those_of_a_plain_loop_over_all_flights(flights: pd.DataFrame) -> None:
    job = load_job()
    weather = pd.read_csv(flights_folder() / "weather.csv")
    weather = weather.assign(weather=job.weather_class(weather))[["origin", "time_hour", "weather"]]
    parts = [
        job.partial_sums(job.join(job.clean(flights.iloc[start : start + 50_000]), weather))
        for start in range(0, len(flights), 50_000)
    ]
    assert_equal_to_independent(job.statistics(pd.concat(parts)), flights)


def test_the_arrivals_are_counted_from_the_table(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert count_arrivals() == 327_346


def test_the_plot_is_a_picture_with_a_sentence_beside_it() -> None:
    rows = [("hour", "05", -4.8), ("hour", "21", 18.4), ("weather", "clear", 4.4), ("weather", "rain or snow", 31.7)]
    result = pd.DataFrame(rows, columns=["group", "value", "mean_delay_minutes"])
    bundle = plot_delays(result)._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "rain or snow, 31.7 minutes" in bundle["text/plain"]
