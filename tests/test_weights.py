"""Weights: the download against a server on this machine, then end to end through load_model. No internet."""

import hashlib
import http.server
import io
import os
import pickle
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from full_disk import full_disk
from torch import nn
from torchvision import models as zoo

import attribution as at
from attribution.models import torchvision_zoo
from attribution.system.download import BLOCK_SIZE, Unreachable, fetch

CONTENT = bytes(range(256)) * 10_000  # 2.56 MB: three blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """The served files by path, and the paths that were asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    promised: dict[str, int | None] = field(default_factory=dict)  # Content-Length where it is not the truth

    def serve(self, name: str, content: bytes) -> str:
        self.files[name] = content
        return f"{self.url}/{name}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    served = Server("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            served.asked.append(name)
            if name not in served.files:
                self.send_error(404)
                return
            content = served.files[name]
            self.send_response(200)
            length = served.promised.get(name, len(content))
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                self.wfile.write(content)
            except ConnectionError:
                self.close_connection = True  # the client has stopped, as one test wants it

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        served.url = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        listener.shutdown()
        thread.join(10)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nothing listens."""
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_right_file_is_stored_and_nothing_beside_it(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "checkpoints" / "net.pth"
    assert fetch(server.serve("net.pth", CONTENT), SHA256, path) == path
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["cache/checkpoints/net.pth"]


def test_the_first_digits_of_the_hash_are_enough(server: Server, tmp_path: Path) -> None:
    path = fetch(server.serve("net.pth", CONTENT), SHA256[:8], tmp_path / "net.pth")
    assert path.read_bytes() == CONTENT


def test_progress_is_reported_after_every_block(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(server.serve("net.pth", CONTENT), SHA256, tmp_path / "net.pth", lambda *call: seen.append(call))
    sizes = [size for size, _ in seen]
    assert sizes == sorted(set(sizes))
    assert max(after - before for before, after in pairwise([0, *sizes])) <= BLOCK_SIZE
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_that_does_not_say_the_size_is_served_too(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    server.promised["net.pth"] = None
    path = tmp_path / "net.pth"
    fetch(server.serve("net.pth", CONTENT), SHA256, path, lambda *call: seen.append(call))
    assert path.read_bytes() == CONTENT
    assert {total for _, total in seen} == {0}
    assert seen[-1][0] == len(CONTENT)


def test_the_final_name_is_not_there_before_the_file_is_complete(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    seen: list[bool] = []
    fetch(server.serve("net.pth", CONTENT), SHA256, path, lambda *call: seen.append(path.exists()))
    assert seen
    assert not any(seen)
    assert path.exists()


def test_the_unfinished_file_lies_beside_its_final_name(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    seen: list[list[str]] = []
    fetch(server.serve("net.pth", CONTENT), SHA256, folder / "net.pth", lambda *call: seen.append(files(folder)))
    for (name,) in seen:  # on another disk the last step would be a copy, which can be cut off
        assert name.endswith(".part")


def test_a_truncated_file_is_deleted_and_reported(server: Server, tmp_path: Path) -> None:
    server.promised["net.pth"] = len(CONTENT)
    url = server.serve("net.pth", CONTENT[:1_500_000])
    with pytest.raises(at.Refusal, match=r"net.pth stopped after 1500000 of 2560000 bytes .*try again\.$"):
        fetch(url, SHA256, tmp_path / "net.pth")
    assert files(tmp_path) == []


def test_a_wrong_file_is_deleted_and_reported(server: Server, tmp_path: Path) -> None:
    url = server.serve("net.pth", b"<html>Please log in to this network.</html>")
    with pytest.raises(at.Refusal, match=rf"net.pth has the wrong hash .*{SHA256[:8]}.*\.$") as caught:
        fetch(url, SHA256, tmp_path / "net.pth")
    assert not isinstance(caught.value, Unreachable)
    assert files(tmp_path) == []


def test_a_file_that_the_server_does_not_have_is_reported(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"net.pth could not be downloaded \(Not Found\)"):
        fetch(f"{server.url}/net.pth", SHA256, tmp_path / "net.pth")
    assert files(tmp_path) == []


def test_the_connection_is_closed_when_the_server_does_not_have_the_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[urllib.error.HTTPError] = []
    urlopen = urllib.request.urlopen

    def spy(*args: Any, **kwargs: Any) -> Any:
        try:
            return urlopen(*args, **kwargs)
        except urllib.error.HTTPError as error:
            answers.append(error)
            raise

    monkeypatch.setattr(urllib.request, "urlopen", spy)
    with pytest.raises(Unreachable):
        fetch(f"{server.url}/net.pth", SHA256, tmp_path / "net.pth")
    (answer,) = answers
    closed = answer.fp is None or answer.fp.closed
    answer.close()
    assert closed


def test_a_server_that_is_not_there_is_reported(nowhere: str, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"net.pth could not be downloaded \(.*refused\)"):
        fetch(f"{nowhere}/net.pth", SHA256, tmp_path / "net.pth")
    assert files(tmp_path) == []


def test_a_name_that_does_not_resolve_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Unreachable, match="Temporary failure in name resolution"):
        fetch("http://weights.invalid/net.pth", SHA256, tmp_path / "net.pth")
    assert files(tmp_path) == []


def test_a_cached_right_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    url, path = server.serve("net.pth", CONTENT), tmp_path / "net.pth"
    fetch(url, SHA256, path)
    fetch(url, SHA256, path)
    assert server.asked == ["net.pth"]


def test_a_cached_right_file_needs_no_server(nowhere: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(CONTENT)
    assert fetch(f"{nowhere}/net.pth", SHA256, path).read_bytes() == CONTENT


@pytest.mark.parametrize("cached", [b"", CONTENT[:-1], CONTENT[:-1] + b"\0"])
def test_a_cached_wrong_file_is_fetched_again(server: Server, tmp_path: Path, cached: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(cached)
    fetch(server.serve("net.pth", CONTENT), SHA256, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["net.pth"]


def test_a_cached_wrong_file_is_deleted_and_reported_where_nothing_replaces_it(nowhere: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"wrong")
    with pytest.raises(Unreachable, match=r"The cached net\.pth was damaged and has been deleted"):
        fetch(f"{nowhere}/net.pth", SHA256, path)
    assert files(tmp_path) == []


def test_progress_that_raises_stops_the_download_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    calls: list[int] = []

    def stop(size: int, total: int) -> None:
        calls.append(size)
        raise KeyError("stopped by the caller")

    with pytest.raises(KeyError, match="stopped by the caller"):
        fetch(server.serve("net.pth", CONTENT), SHA256, tmp_path / "net.pth", stop)
    assert len(calls) == 1
    assert calls[0] <= BLOCK_SIZE
    assert files(tmp_path) == []


@pytest.mark.parametrize("error", [BrokenPipeError, InterruptedError, TimeoutError])
def test_an_error_of_the_caller_is_blamed_neither_on_the_disk_nor_on_the_network(
    server: Server, tmp_path: Path, error: type[OSError]
) -> None:
    def stop(size: int, total: int) -> None:
        raise error("the terminal is gone")

    with pytest.raises(error, match="the terminal is gone"):
        fetch(server.serve("net.pth", CONTENT), SHA256, tmp_path / "net.pth", stop)
    assert files(tmp_path) == []


def test_two_downloads_at_once_both_end_with_the_right_file(server: Server, tmp_path: Path) -> None:
    url, path = server.serve("net.pth", CONTENT), tmp_path / "net.pth"
    other = threading.Thread(target=fetch, args=(url, SHA256, path))

    def start(size: int, total: int) -> None:
        if other.ident is None:
            other.start()
            while len(server.asked) < 2:  # once the first file is there the other would not ask
                time.sleep(0.01)

    fetch(url, SHA256, path, start)
    other.join(10)
    assert server.asked == ["net.pth", "net.pth"]
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["net.pth"]


def test_a_folder_that_cannot_be_made_is_reported(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    with pytest.raises(at.Refusal, match=r"net.pth could not be stored in .*file.*\.$"):
        fetch(server.serve("net.pth", CONTENT), SHA256, tmp_path / "file" / "net.pth")


def test_a_full_disk_is_reported_and_the_next_download_works(server: Server, tmp_path: Path) -> None:
    url, path = server.serve("net.pth", CONTENT), tmp_path / "net.pth"
    with full_disk(len(CONTENT) - 1), pytest.raises(at.Refusal, match=r"net.pth could not be stored in .*: File too"):
        fetch(url, SHA256, path)
    assert files(tmp_path) == []
    assert fetch(url, SHA256, path).read_bytes() == CONTENT


# End to end: load_model with the address of torchvision's weights turned to the server.

Publish = Callable[[str, bytes], str]


@pytest.fixture
def publish(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Serve bytes as the weights of a model; gives the name of the file, which carries its hash."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)

    def turn(name: str, content: bytes) -> str:
        weights = zoo.get_model_weights(name)["IMAGENET1K_V1"]
        published = f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        monkeypatch.setattr(weights.value, "url", server.serve(published, content))
        return published

    return turn


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def random_net(make: Callable[..., nn.Module], **options: Any) -> nn.Module:
    """Random weights whose logits are of ordinary size and differ from class to class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make(weights=None, **options).eval()


def check_same_logits(model: at.Model, net: nn.Module) -> None:
    x = torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected, found = net(((x - mean) / std)[None]), model.logits(x[None])
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def check_refused_for_good(name: str, match: str, cache: Path) -> None:
    with pytest.raises(at.Refusal, match=match) as caught:
        at.load_model(name, device="cpu")
    assert str(caught.value).endswith(".")
    assert files(cache) == []


def test_resnet18_is_downloaded_once_and_gives_its_logits(publish: Publish, server: Server, tmp_path: Path) -> None:
    net = random_net(zoo.resnet18)
    published = publish("resnet18", saved(net.state_dict()))
    seen: list[tuple[int, int]] = []
    model = at.load_model("resnet18", device="cpu", on_progress=lambda *call: seen.append(call))
    check_same_logits(model, net)
    assert files(tmp_path) == [f"hub/checkpoints/{published}"]
    assert seen[-1] == (len(server.files[published]),) * 2
    assert model.classes == tuple(zoo.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    at.load_model("resnet18", device="cpu")
    assert server.asked == [published]


def test_googlenet_is_loaded_without_its_training_heads_and_with_its_own_scaling(publish: Publish) -> None:
    net = random_net(zoo.googlenet, aux_logits=True, init_weights=False)
    publish("googlenet", saved(net.state_dict()))
    assert isinstance(net, zoo.GoogLeNet)
    net.transform_input = True  # the published weights expect it
    check_same_logits(at.load_model("googlenet", device="cpu"), net)


@pytest.mark.slow
def test_densenet121_is_loaded_from_the_names_of_its_published_file(publish: Publish) -> None:
    net = random_net(zoo.densenet121)
    # As it was published in 2017: with a dot before the number, and without a count of batches.
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value
        for key, value in net.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    publish("densenet121", saved(old))
    check_same_logits(at.load_model("densenet121", device="cpu"), net)


def test_a_truncated_model_is_refused_and_not_loaded(publish: Publish, server: Server, tmp_path: Path) -> None:
    content = saved({"fc.bias": torch.zeros(1000)})
    published = publish("resnet18", content)
    server.promised[published] = len(content)
    server.files[published] = content[: len(content) // 2]
    check_refused_for_good("resnet18", "stopped after", tmp_path)


def test_a_wrong_model_is_refused_and_not_loaded(publish: Publish, server: Server, tmp_path: Path) -> None:
    published = publish("resnet18", saved({"fc.bias": torch.zeros(1000)}))
    server.files[published] = saved({"fc.bias": torch.ones(1000)})
    check_refused_for_good("resnet18", "has the wrong hash", tmp_path)


def test_a_missing_model_names_the_models_that_need_no_network(
    publish: Publish, server: Server, tmp_path: Path
) -> None:
    server.files.pop(publish("resnet18", b"anything"))
    check_refused_for_good("resnet18", "could not be downloaded.*squeezenet1_1.*efficientnet_lite0", tmp_path)


def test_without_a_network_one_sentence_names_the_models_that_need_none(
    publish: Publish, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish("resnet18", b"anything")
    monkeypatch.setattr(zoo.ResNet18_Weights.IMAGENET1K_V1.value, "url", f"{nowhere}/{published}")
    sentence = (
        rf"^{published} could not be downloaded \([^)]*refused\); check the network connection, "
        r"or choose a model without a download: squeezenet1_1, efficientnet_lite0\.$"
    )
    check_refused_for_good("resnet18", sentence, tmp_path)


def test_a_damaged_cached_model_is_fetched_again(publish: Publish, server: Server, tmp_path: Path) -> None:
    net = random_net(zoo.resnet18)
    published = publish("resnet18", saved(net.state_dict()))
    cached = tmp_path / "hub" / "checkpoints" / published
    cached.parent.mkdir(parents=True)
    cached.write_bytes(server.files[published][:-1])
    check_same_logits(at.load_model("resnet18", device="cpu"), net)
    assert server.asked == [published]


def test_stopping_the_download_of_a_model_leaves_nothing(publish: Publish, tmp_path: Path) -> None:
    def stop(size: int, total: int) -> None:
        raise KeyError("stopped by the page")

    publish("resnet18", saved({"fc.bias": torch.zeros(1000)}))
    with pytest.raises(KeyError, match="stopped by the page"):
        at.load_model("resnet18", on_progress=stop)
    assert files(tmp_path) == []


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_with_the_right_hash_is_not_executed(publish: Publish, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    content = saved({"fc.bias": torch.zeros(1000), "trap": Trap(marker)})
    torch.load(io.BytesIO(content), weights_only=False)
    assert marker.exists(), "the trap must work, or the test proves nothing"
    marker.rmdir()
    publish("resnet18", content)
    with pytest.raises((at.Refusal, pickle.UnpicklingError)):
        at.load_model("resnet18", device="cpu")
    assert not marker.exists()


@pytest.mark.parametrize("name", torchvision_zoo.MODEL_TITLES)
def test_the_published_name_of_every_model_carries_its_hash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def refuse(url: str, sha256: str, path: Path, on_progress: object) -> None:
        asked.append((url, sha256, path.name))
        raise at.Refusal("Asked.")

    monkeypatch.setattr(torchvision_zoo, "fetch", refuse)
    with pytest.raises(at.Refusal, match=r"Asked\."):
        at.load_model(name)
    ((url, sha256, stored),) = asked
    assert len(sha256) == 8
    assert set(sha256) <= set("0123456789abcdef")
    assert url.startswith("https://download.pytorch.org/models/")
    assert url.endswith(f"-{sha256}.pth")
    assert url.endswith(f"/{stored}")
