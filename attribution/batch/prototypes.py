"""Prototypes of a class: the patches under the strongest part of its maps, clustered by the network's own features.

After ACE (Ghorbani et al. 2019, arXiv:1902.03129), which cuts every photo into superpixels at several sizes, clusters
all of them with k-means, and scores a cluster by TCAV. Here a photo has one patch, the strongest window of its map; the
clusters are Ward's; and a cluster counts by what the score loses when its patches are covered.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MOST_CLUSTERS = 8
FEWEST_PHOTOS = 4  # to look for more than one cluster
SEPARATED = 0.1  # mean silhouette above which clusters count as apart; in noise of many dimensions it is below 0.05
MOST_LINKED = 2000  # photos of a class that are compared pair by pair

Floats = NDArray[np.float64]
Key = tuple[int | None, str]  # index and name of a class; a number that a network returns has only a name


@dataclass(frozen=True, eq=False)
class Prototype:
    """Similar patches of one class.

    Attributes:
        rows: Rows of the table, the most typical first: those nearest to the mean of the features.
        loss: Mean drop of the score when the patch is covered, in the unit of the score.
        error: Standard error of that mean; None for one photo.
        share: Share of the class's patches.
    """

    rows: tuple[int, ...]
    loss: float
    error: float | None
    share: float

    @property
    def total(self) -> float:
        """The sum of the losses, by which prototypes are ordered."""
        return self.loss * len(self.rows)


def prototypes(table: pa.Table) -> dict[Key, tuple[Prototype, ...]]:
    """Cluster the patches of every explained class; the result is the same in every run.

    The number of clusters has the largest mean silhouette (Rousseeuw 1987) of 2 to 8; there is one cluster if none is
    above SEPARATED, or with fewer than FEWEST_PHOTOS photos.

    Args:
        table: Columns as in `batch.table`; rows without a finite `loss` or without `features` do not count.

    Returns:
        Prototypes by class, the classes in the order of the table. The first prototype has the largest sum of losses.
    """
    known = pc.and_(pc.is_valid(table["features"]), pc.fill_null(pc.is_finite(table["loss"]), False))
    features, losses = table["features"].filter(known).combine_chunks(), table["loss"].to_numpy()
    kept = np.flatnonzero(known.to_numpy())  # rows of the features
    return {
        key: _of_class(rows, unit_vectors(features.take(np.searchsorted(kept, rows))), losses[rows])
        for key, rows in by_class(table, known)
    }


def by_class(table: pa.Table, chosen: pa.ChunkedArray | None = None) -> Iterator[tuple[Key, NDArray[np.int64]]]:
    """Yield the rows of every explained class, in the order of the table.

    Args:
        table: Columns as in `batch.table`.
        chosen: One boolean a row: the rows that count. Default: all.
    """
    chosen = pa.repeat(True, len(table)) if chosen is None else chosen
    found: dict[Key, list[int]] = {}
    columns = (chosen.to_pylist(), table["target"].to_pylist(), table["target_class"].to_pylist())
    for row, (is_chosen, target, name) in enumerate(zip(*columns, strict=True)):
        if is_chosen and name is not None:
            found.setdefault((target, name), []).append(row)
    for key, rows in found.items():
        yield key, np.array(rows)


def unit_vectors(features: pa.Array) -> Floats:
    """Return feature vectors of length 1, (photos, features); zeros stay zeros, and what is not finite becomes zero."""
    vectors: Floats = np.nan_to_num(
        features.flatten().to_numpy().astype(np.float64).reshape(len(features), -1), posinf=0, neginf=0
    )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def clusters(vectors: Floats) -> NDArray[np.int64]:
    """Cluster vectors.

    Args:
        vectors: (N, D). Of more than MOST_LINKED, a sample is clustered, and the others join the nearest mean.

    Returns:
        Number of the cluster of every vector, from 0, (N,).
    """
    count = len(vectors)
    if count <= MOST_LINKED:
        return _linked(vectors)
    sample = np.sort(np.random.default_rng(0).choice(count, MOST_LINKED, replace=False))
    labels = _linked(vectors[sample])
    means = np.stack([vectors[sample][labels == label].mean(0) for label in range(labels.max() + 1)])
    nearest: NDArray[np.int64] = ((means**2).sum(1) - 2 * vectors @ means.T).argmin(1)
    nearest[sample] = labels
    return nearest


def _linked(vectors: Floats) -> NDArray[np.int64]:
    from scipy.cluster.hierarchy import fcluster, linkage  # lazy: the import takes a quarter of a second
    from scipy.spatial.distance import pdist, squareform

    count = len(vectors)
    best, chosen = SEPARATED, np.zeros(count, np.int64)
    if count < FEWEST_PHOTOS:
        return chosen
    near = pdist(vectors)
    tree, distances = linkage(near, "ward"), squareform(near)
    for number in range(2, min(MOST_CLUSTERS, count - 1) + 1):
        labels = fcluster(tree, number, "maxclust").astype(np.int64) - 1
        if (found := silhouette(distances, labels)) > best:
            best, chosen = found, labels
    return chosen


def silhouette(distances: Floats, labels: NDArray[np.int64]) -> float:
    """Return the mean silhouette of clusters; 0 for a single cluster, and for each photo that is alone in its own.

    Args:
        distances: (N, N).
        labels: Number of the cluster of each, from 0, (N,).
    """
    sizes = np.bincount(labels)
    if len(sizes) < 2:
        return 0.0
    members = np.eye(len(sizes))[labels]  # (N, clusters)
    sums = distances @ members
    every = np.arange(len(labels))
    own = sums[every, labels] / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[every, labels] = np.inf
    other = means.min(1)
    larger = np.maximum(own, other)
    alone = (sizes[labels] == 1) | (larger == 0)
    return float(np.where(alone, 0, (other - own) / np.where(alone, 1, larger)).mean())


def _of_class(rows: NDArray[np.int64], vectors: Floats, losses: Floats) -> tuple[Prototype, ...]:
    labels = clusters(vectors)
    found = []
    for label in range(labels.max() + 1):
        inside = labels == label
        away = np.linalg.norm(vectors[inside] - vectors[inside].mean(0), axis=1)
        lost = losses[inside]
        count = len(lost)
        found.append(
            Prototype(
                tuple(rows[inside][np.argsort(away.round(12), kind="stable")].tolist()),
                float(lost.mean()),
                float(lost.std(ddof=1) / np.sqrt(count)) if count > 1 else None,
                count / len(rows),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.total, each.rows)))
