"""Batches on several machines and in object stores.

They need more packages: pip install -r requirements-ray.txt s3fs 'moto[server]'
"""

import io
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_batch import NET, ROOT, command, lasting, write_photos

from attribution.batch.table import TABLE
from attribution.cli import main

pytestmark = pytest.mark.slow


def test_actors_make_the_same_table_also_if_one_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "net.py").write_text(NET.format(seconds=0.02))
    write_photos(tmp_path / "photos", 40)[7].write_bytes(b"no photo")
    out = tmp_path / "out"
    running = subprocess.Popen(command(tmp_path, str(out), "--engine", "ray", "--workers", "2"), cwd=ROOT)
    while len(list(out.glob("rows/*.parquet"))) < 3:
        assert running.poll() is None
        time.sleep(0.01)
    found = subprocess.run(["pgrep", "-f", "ray::MapWorker"], capture_output=True, text=True, check=True).stdout
    os.kill(int(found.split()[0]), signal.SIGKILL)
    assert running.wait(200) == 2  # for the broken photo
    assert main(command(tmp_path, str(tmp_path / "local"))[3:]) == 2
    assert lasting(out).equals(lasting(tmp_path / "local"))


def test_an_object_store_holds_photos_and_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
        }.items():
            monkeypatch.setenv(name, value)
        store = pytest.importorskip("s3fs").S3FileSystem()
        store.mkdir("zoo")
        for path in write_photos(tmp_path / "photos", 6):
            store.put_file(str(path), f"zoo/photos/{path.name}")
        (tmp_path / "net.py").write_text(NET.format(seconds=0))
        arguments = command(tmp_path, "s3://zoo/results")[3:]
        arguments[1] = "s3://zoo/photos"
        assert main(arguments) == main(arguments) == 0  # the second one resumes, and has nothing to do
        assert main(command(tmp_path, str(tmp_path / "local"))[3:]) == 0
        rows = pq.read_table(io.BytesIO(store.cat(f"zoo/results/{TABLE}"))).drop_columns(["seconds"])
        assert rows.equals(lasting(tmp_path / "local"))
        pictures = {path.removeprefix("zoo/results/") for path in store.find("zoo/results/photos")}
        assert pictures == {
            str(path.relative_to(tmp_path / "local")) for path in (tmp_path / "local").glob("photos/*/*")
        }
    finally:
        server.stop()
