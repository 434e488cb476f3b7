"""The configuration in which a network runs, and facts about it, found before the first photo."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from test_frozen import Apply
from torch import Tensor, nn
from toys import model_of, noise, randomise

import attribution as at


def model(flatten: Callable[[Tensor], Tensor], *layers: nn.Module) -> at.Model:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *layers, Apply(flatten), nn.Linear(216, 3))
    return model_of(randomise(net), (8, 8), 3)


@pytest.mark.parametrize(
    ("flatten", "memory_format"),
    [
        (lambda x: x.flatten(1), torch.channels_last),
        (lambda x: x.view(len(x), -1), torch.contiguous_format),  # fails on channels last
    ],
)
def test_the_memory_format_is_channels_last_where_the_network_accepts_it(
    flatten: Callable[[Tensor], Tensor], memory_format: torch.memory_format
) -> None:
    mine, x = model(flatten), noise(2, 3, 8, 8)
    assert mine.inspection.memory_format == memory_format
    assert mine.running_net[0].weight.is_contiguous(memory_format=memory_format)
    assert mine.net[0].weight.is_contiguous()  # as it was given
    torch.testing.assert_close(mine.logits(x), mine.net(x))


def test_a_network_whose_weights_have_five_dimensions_is_served() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv3d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x[:, None])[:, 0]

    mine = model(lambda x: x.flatten(1), Deep())
    assert mine.inspection.memory_format == torch.channels_last
    torch.testing.assert_close(mine.logits(noise(2, 3, 8, 8)), mine.net(noise(2, 3, 8, 8)))


def test_the_memory_of_an_image_is_at_least_that_of_its_features() -> None:
    features = 6 * 6 * 6 * 4  # bytes of the rectifier's output
    assert features < model(lambda x: x.flatten(1)).inspection.image_memory < 20 * features


def test_another_network_of_the_same_structure_shares_the_inspection() -> None:
    mine = model(lambda x: x.flatten(1))
    twin = mine.with_net(randomise(nn.Sequential(*mine.net), seed=1))
    assert twin.inspection is mine.inspection
    with pytest.raises(dataclasses.FrozenInstanceError):
        mine.inspection.fixed_adjoint = True  # type: ignore[misc]


def test_any_form_of_the_network_is_sent_images_in_the_same_way() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    mine = at.Model("mine", randomise(net), (8, 8), mean, std, list("abc"), device="cpu")
    x = noise(2, 3, 8, 8)
    expected = net((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    assert mine.running_net is not mine.net
    for found in (mine.logits(x), mine.send(mine.net, x), mine.send(net, x)):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
