"""The table of a batch: its columns, its parts on disk, and the two files that collect them."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from attribution.system.storage import Storage

PARTS, TABLE, SHEET = "rows", "table.parquet", "table.csv"  # a folder, and two files

# A row is a photo and a method; a photo that cannot be read has one row. What is unknown is null.
COLUMNS = pa.schema(
    [
        ("number", pa.int64()),  # place of the photo in the batch, from 0
        ("photo", pa.string()),  # path below the collection
        ("sha256", pa.string()),  # of the file
        ("method", pa.string()),  # text form with settings; null if the photo cannot be explained at all
        ("predicted", pa.int64()),  # index of the most probable class; null if the network returns a number
        ("predicted_class", pa.string()),
        ("probability", pa.float64()),  # of that class; the number itself if the network returns one
        ("target", pa.int64()),  # index of the explained class; null as above
        ("target_class", pa.string()),
        ("score", pa.float64()),  # of the photo, in the unit of the plan's score
        ("baseline_score", pa.float64()),
        ("delta", pa.float64()),  # as in Attribution
        ("relative_delta", pa.float64()),
        ("error", pa.float64()),  # as in Attribution
        ("seconds", pa.float64()),  # of the map
        ("concentration", pa.float64()),  # share of the map's absolute values in the strongest tenth of its pixels
        ("agreement", pa.float64()),  # mean rank correlation with the photo's other maps, on cells
        ("box_share", pa.float64()),  # share of the map's absolute values inside the box
        ("box_area", pa.float64()),  # share of the network's input inside the box
        ("box_left", pa.float64()),  # the box, as shares of the network's input, clipped to it
        ("box_top", pa.float64()),
        ("box_right", pa.float64()),
        ("box_bottom", pa.float64()),
        ("window_left", pa.int64()),  # the strongest window of WINDOW x WINDOW cells, in cells
        ("window_top", pa.int64()),
        ("loss", pa.float64()),  # by which the score drops when the window is covered; of the leading method only
        ("map_sha256", pa.string()),  # of the raw values
        ("picture", pa.string()),  # file of the map's PNG
        ("refusal", pa.string()),  # sentence on why there is no map
        ("cells", pa.list_(pa.float32(), 784)),  # the map on 28 x 28 cells; signed if its signs are evidence
        ("features", pa.list_(pa.float32())),  # of the window alone, from the network; of the leading method only
    ]
)
WIDE = ("cells", "features")  # columns that the CSV lacks


def encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode rows as a Parquet file; a missing column is null."""
    file = io.BytesIO()
    full = [{name: row.get(name) for name in COLUMNS.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(full, schema=COLUMNS), file, compression="zstd")
    return file.getvalue()


def part(group: int) -> str:
    """Return the file of a group's rows."""
    return f"{PARTS}/{group:08}.parquet"


def done(storage: Storage) -> set[int]:
    """Return the groups whose rows are stored."""
    names = (name.rpartition("/")[2].removesuffix(".parquet") for name in storage.names(PARTS))
    return {int(name) for name in names if name.isdecimal()}


def tables(storage: Storage, groups: Iterable[int]) -> Iterator[pa.Table]:
    """Read the rows of groups, one after the other."""
    for group in sorted(groups):
        yield pq.read_table(io.BytesIO(storage.read(part(group))), schema=COLUMNS)


def collect(storage: Storage) -> int:
    """Write all rows so far into `table.parquet` and `table.csv`; memory does not grow with their number.

    Returns:
        The number of rows without a map.
    """
    refused = 0
    with storage.whole(TABLE) as parquet, storage.whole(SHEET) as sheet:
        narrow = pa.schema([column for column in COLUMNS if column.name not in WIDE])
        with (
            pq.ParquetWriter(parquet, COLUMNS, compression="zstd") as whole,
            pyarrow.csv.CSVWriter(sheet, narrow) as lines,
        ):
            for table in tables(storage, done(storage)):
                whole.write_table(table)
                lines.write_table(table.select(narrow.names))
                refused += len(table) - table["refusal"].null_count
    return refused


def rows(storage: Storage) -> pa.Table:
    """Return all rows so far, in the order of the photos."""
    return pa.concat_tables([COLUMNS.empty_table(), *tables(storage, done(storage))])
