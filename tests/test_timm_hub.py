"""timm's pretrained networks by name: facts without a download, and the download from a server on this machine."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

import attribution as at
from attribution.models import find, timm_hub
from attribution.models.timm_hub import pretrained_names

Hub = tuple[str, dict[str, bytes], list[str]]
NAME = "test_vit.r160_in1k"  # 0.4 M parameters
PATH = f"/timm/{NAME}/resolve/main/model.safetensors"


def test_facts_need_no_download() -> None:
    record = find(f"timm/{NAME}")
    facts = record.facts()
    assert facts.preprocessing.size == (160, 160)
    assert len(facts.classes) == 1000
    assert facts.classes[0].startswith("tench")
    assert not record.embedded
    assert 1 < facts.size < 3
    assert len(pretrained_names()) > 1000


def test_an_unknown_name_is_refused_with_others() -> None:
    with pytest.raises(
        at.Refusal, match=r"^timm has no pretrained classifier 'resnet18.a1'; did you mean .*resnet18.a1_in1k"
    ):
        find("timm/resnet18.a1")
    with pytest.raises(at.Refusal, match=r"^There is no model 'nonsense'"):
        find("nonsense")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """The address of a server that answers like the Hub, its files by path, and the requests."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            if content := self.answer():
                self.wfile.write(content)

        def answer(self) -> bytes:
            asked.append(f"{self.command} {self.path}")
            content = files.get(self.path, b"")
            self.send_response(200 if content else 404)
            if content:
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("X-Linked-Etag", f'"{hashlib.sha256(files.get("claimed", content)).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(content)))
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", files, asked
        listener.shutdown()
        thread.join()


def weights() -> tuple[torch.nn.Module, bytes]:
    torch.manual_seed(0)
    net = timm.create_model("test_vit")
    return net, safetensors.torch.save(net.state_dict())


def run(address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Load the model in a process of its own, since the Hub's address is read when its library is imported."""
    code = f"import attribution as at; print(at.load_model('timm/{NAME}', 'cpu').weights)"
    variables = {"HF_ENDPOINT": address, "TORCH_HOME": str(folder), "no_proxy": "*", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env={**os.environ, **variables}
    )


def test_a_network_is_downloaded_verified_and_kept(hub: Hub, tmp_path: Path) -> None:
    address, files, asked = hub
    net, files[PATH] = weights()
    first = run(address, tmp_path)
    assert first.stdout.strip() == at.wrap(net, device="cpu").weights, first.stderr[-500:]
    assert asked == [f"HEAD {PATH}", f"GET {PATH}"]
    (kept,) = (tmp_path / "hub" / "checkpoints").iterdir()
    assert kept.name == f"timm_{NAME}-{hashlib.sha256(files[PATH]).hexdigest()}.safetensors"
    files.clear()
    assert run(address, tmp_path).stdout == first.stdout  # without the server
    assert len(asked) == 2
    kept.write_bytes(b"damaged")
    again = run(address, tmp_path)
    assert "could not be downloaded" in again.stderr
    assert not list(kept.parent.iterdir())


def test_the_least_recently_used_weights_are_deleted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_hub, "MAX_CACHED_BYTES", 25)
    for place, name in enumerate(("timm_old", "timm_middle", "resnet18", "timm_new")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (place, place))
    timm_hub._bound_cache(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"timm_middle", "resnet18", "timm_new"}


@pytest.mark.slow
def test_wrong_weights_and_an_unreachable_hub_are_refused(hub: Hub, tmp_path: Path) -> None:
    address, files, _ = hub
    _, files[PATH] = weights()
    files["claimed"] = b"something else"
    assert "has the wrong hash (SHA-256" in run(address, tmp_path).stderr
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())
    assert "could not be downloaded" in run("http://127.0.0.1:1", tmp_path).stderr
