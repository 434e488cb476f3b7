"""A shortcut is found: a small mark that goes with one class comes out first among the prototypes of that class."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor, nn

import attribution as at
from attribution.batch import Plan, Run
from attribution.batch.measures import window
from attribution.batch.prototypes import prototypes
from attribution.batch.table import TABLE
from attribution.photo.samples import SAMPLES, open_sample
from attribution.system.storage import Storage

SIDE, MARK, TRAINING = 56, 8, 96
MARKED = 0.6  # share of the photos of the class


def photos(count: int, seed: int) -> tuple[Tensor, list[int], list[tuple[int, int] | None]]:
    """Crops of one photo; most of the second class have a mark at a random place, its others are of another photo."""
    random = np.random.default_rng(seed)
    wholes = [open_sample(name).convert("RGB") for name in list(SAMPLES)[:2]]
    xs, labels, marks = [], [], list[tuple[int, int] | None]()
    for number in range(count):
        label = number % 2
        is_marked = bool(label and random.random() < MARKED)
        whole = wholes[int(label and not is_marked)]
        side = int(random.integers(min(whole.size) // 3, min(whole.size)))
        left, top = (int(random.integers(0, length - side + 1)) for length in whole.size)
        crop = whole.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        pixels = np.array(crop, dtype=np.uint8)
        place = None
        if is_marked:
            place = tuple(int(each) for each in random.integers(0, SIDE - MARK, 2))
            chequers = np.indices((MARK, MARK)).sum(0) // 2 % 2
            pixels[place[0] : place[0] + MARK, place[1] : place[1] + MARK] = np.where(
                chequers[..., None] == 1, (255, 230, 0), (0, 30, 160)
            )
        xs.append(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
        labels.append(label)
        marks.append(place)
    return torch.stack(xs), labels, marks


def trained() -> nn.Module:
    """A network of three layers, trained until it uses the mark."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 2)),
    )
    x, labels, _ = photos(TRAINING, seed=1)
    optimiser, wanted = torch.optim.Adam(net.parameters(), 3e-3), torch.tensor(labels)
    for _ in range(40):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x - 0.5), wanted).backward()
        optimiser.step()
    return net.eval()


def test_the_first_prototype_of_the_class_is_the_mark(tmp_path: Path) -> None:
    model = at.Model("shortcut", trained(), (SIDE, SIDE), (0.5,) * 3, (1,) * 3, ("dog", "cat"), crop=1, device="cpu")
    x, _, marks = photos(60, seed=2)
    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate(x):
        image = Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
        image.save(tmp_path / "photos" / f"{number:02}.png")
    methods = (at.IntegratedGradients(steps=10, baseline=at.baselines.Blur()), at.Gradient())
    run = Run(
        Plan(str(tmp_path / "photos"), at.Analysis(methods=methods, score="log_odds")), Storage(str(tmp_path / "out"))
    )
    run.go(model, "local", None, lambda count: None)
    run.collect()
    table = pq.read_table(tmp_path / "out" / TABLE)
    found = prototypes(table)[1, "cat"]
    numbers, left, top = (table[name].to_pylist() for name in ("number", "window_left", "window_top"))

    def shows(row: int) -> bool:
        """True if the window contains most of the mark."""
        if (place := marks[numbers[row]]) is None:
            return False
        inside = window(left[row], top[row]).pixels((SIDE, SIDE))
        return bool(inside[place[0] : place[0] + MARK, place[1] : place[1] + MARK].double().mean() > 0.5)

    shares = [np.mean([shows(row) for row in each.rows]) for each in found]
    assert len(found) > 1
    assert shares[0] > 0.9
    assert max(shares[1:]) < 0.5
    assert len(found[0].rows) >= 0.8 * sum(place is not None for place in marks)
    assert found[0].loss > 2 * max(each.loss for each in found[1:])
