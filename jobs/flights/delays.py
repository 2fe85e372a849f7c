"""Delay statistics of the flights from New York in 2013, prepared with Ray Data on the team's cluster.

Reads the tables from the artifact bucket, joins flights with the weather of their departure hour, drops what never
arrived, and counts by carrier, by hour and by weather. Partial sums are made where the rows are; only they travel.
Everything is counted in whole minutes, so the figures do not depend on the order of the rows.

Environment: ARTIFACT_BUCKET, DATA_PREFIX, RESULT_PREFIX.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from pathlib import Path

import google.auth
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from google.cloud import storage

LATE_MINUTES = 15  # an arrival this late or later counts as late, as the US Department of Transportation counts
BLOCKS = 4  # pieces that workers take one after another
GROUPS = {"carrier": ["carrier"], "hour": ["hour"], "weather": ["weather"]}


def weather_class(weather: pd.DataFrame) -> pd.Series:
    """One word for an hour's weather: the worst of what was measured."""
    words = pd.Series("clear", index=weather.index, dtype="object")
    words[weather["wind_speed"] >= 20] = "windy"
    words[weather["precip"] > 0] = "rain or snow"
    words[weather["visib"] < 3] = "poor visibility"
    return words


def clean(flights: pd.DataFrame) -> pd.DataFrame:
    """Flights that arrived, with whole minutes; cancelled and diverted ones have no arrival delay."""
    arrived = flights[flights["arr_delay"].notna()]
    return arrived.assign(arr_delay=arrived["arr_delay"].astype("int64"), hour=arrived["hour"].astype("int64"))


def join(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Flights with the weather at their airport in the hour they were to leave; `unknown` where none was recorded."""
    joined = flights.merge(weather, how="left", on=["origin", "time_hour"], validate="many_to_one")
    return joined.assign(weather=joined["weather"].fillna("unknown"))


def partial_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """Flights, minutes of delay and late arrivals for each value of each group, in these rows."""
    late = rows.assign(late=(rows["arr_delay"] >= LATE_MINUTES).astype("int64"))
    parts = []
    for group, columns in GROUPS.items():
        sums = late.groupby(columns, as_index=False).agg(
            flights=("arr_delay", "size"), delay_minutes=("arr_delay", "sum"), late=("late", "sum")
        )
        parts.append(sums.assign(group=group, value=sums[columns[0]].astype(str).str.rjust(2, "0")))
    return pd.concat(parts)[["group", "value", "flights", "delay_minutes", "late"]]


def statistics(parts: pd.DataFrame) -> pd.DataFrame:
    """The sums of all parts, with the mean delay and the share of late arrivals."""
    totals = parts.groupby(["group", "value"], as_index=False)[["flights", "delay_minutes", "late"]].sum()
    return totals.assign(
        mean_delay_minutes=totals["delay_minutes"] / totals["flights"], late_share=totals["late"] / totals["flights"]
    ).sort_values(["group", "value"], ignore_index=True)


def read_table(bucket: storage.Bucket, name: str, columns: list[str]) -> pd.DataFrame:
    """A CSV table of the bucket; `.zip` is unpacked on the way."""
    data = bucket.blob(f"{os.environ['DATA_PREFIX']}/{name}").download_as_bytes()
    compression = "zip" if name.endswith(".zip") else None
    return pd.read_csv(io.BytesIO(data), usecols=columns, compression=compression)


def main() -> None:
    """Run the job from the bucket to the bucket."""
    ray.init(logging_level="ERROR")
    logging.getLogger("ray.data").setLevel("WARNING")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False

    credentials, project = google.auth.default()
    bucket = storage.Client(project=project or "-", credentials=credentials).bucket(os.environ["ARTIFACT_BUCKET"])
    weather = read_table(bucket, "weather.csv", ["origin", "time_hour", "wind_speed", "precip", "visib"])
    weather = weather.assign(weather=weather_class(weather))[["origin", "time_hour", "weather"]]
    flights = read_table(bucket, "flights.csv.zip", ["carrier", "origin", "hour", "time_hour", "arr_delay"])
    print(f"read {len(flights):,} flights and {len(weather):,} hours of weather", flush=True)

    shared = ray.put(weather)
    size = -(-len(flights) // BLOCKS)
    parts = (
        ray.data.from_pandas([flights.iloc[start : start + size] for start in range(0, len(flights), size)])
        .map_batches(
            lambda rows: partial_sums(join(clean(rows), ray.get(shared))), batch_format="pandas", batch_size=None
        )
        .to_pandas()
    )
    result = statistics(parts)
    arrived = int(result.loc[result["group"] == "carrier", "flights"].sum())
    print(f"counted {arrived:,} arrivals in {len(result)} groups", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "delays.parquet"
        pq.write_table(pa.Table.from_pandas(result, preserve_index=False), file)
        target = f"{os.environ['RESULT_PREFIX']}/delays.parquet"
        bucket.blob(target).upload_from_filename(str(file))
    print(f"wrote gs://{bucket.name}/{target}", flush=True)


if __name__ == "__main__":
    main()
