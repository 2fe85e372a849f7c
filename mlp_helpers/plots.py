"""The plots of the workbook: static, offline, with the figures beside them in a table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mlp_helpers.display import Picture

if TYPE_CHECKING:
    import pandas as pd


def plot_delays(result: pd.DataFrame) -> Picture:
    """Mean arrival delay in minutes, by hour of departure and by weather.

    Args:
        result: Columns group, value, flights, mean_delay_minutes, as jobs/flights/delays.py writes them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    by_hour, by_weather = figure.subplots(1, 2, width_ratios=(2, 1))
    hours = result[result["group"] == "hour"]
    by_hour.bar(hours["value"], hours["mean_delay_minutes"], color="#1565c0")
    by_hour.set(title="by hour of departure", xlabel="hour", ylabel="mean delay, minutes")
    weather = result[result["group"] == "weather"].sort_values("mean_delay_minutes")
    by_weather.barh(weather["value"], weather["mean_delay_minutes"], color="#2e7d32")
    by_weather.set(title="by weather", xlabel="mean delay, minutes")
    figure.suptitle("Arrival delay of flights from New York, 2013")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    worst = weather.iloc[-1]
    text = (
        f"Mean arrival delay by hour and by weather; worst: {worst['value']}, {worst['mean_delay_minutes']:.1f} minutes"
    )
    return Picture(png.getvalue(), text)
