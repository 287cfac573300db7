"""What only Colab has, with a stand-in for Colab; results that are kept in the repository."""

import gzip
import json
import logging
import os
import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType, SimpleNamespace

import pytest
import torch

from agentprm_lite.tutorial import notebook, plots
from agentprm_lite.tutorial.artifacts import artifacts_root
from agentprm_lite.tutorial.notebook import keep_on_drive, stored, stored_raw, stored_study
from agentprm_lite.tutorial.profiles import CPU, get_profile


def test_artifacts_go_to_the_drive(monkeypatch, capsys):
    mounted: list[str] = []
    colab = ModuleType("google.colab")
    colab.drive = SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(os.environ, "AGENTPRM_ARTIFACTS", "elsewhere")
    keep_on_drive()
    assert mounted == ["/content/drive"]
    assert artifacts_root().as_posix() == "/content/drive/MyDrive/agentprm-lite"
    assert "/content/drive/MyDrive/agentprm-lite" in capsys.readouterr().out


def test_no_drive_outside_colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", None)
    with pytest.raises(RuntimeError, match="this is not Colab"):
        keep_on_drive()


@pytest.mark.parametrize("gpu", [True, False])
def test_auto_is_cpu_with_or_without_a_gpu(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert get_profile("auto") is CPU
    assert get_profile("auto", "webshop").name == "cpu"


STORED = {"base": "smol", "command": "agentprm x", "commit": "abc", "date": "d", "device": "CPU"}


def test_a_stored_study_says_where_it_comes_from(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        notebook, "__file__", str(tmp_path / "agentprm_lite" / "tutorial" / "notebook.py")
    )
    (tmp_path / "results").mkdir()
    assert stored_study("llm") is None
    assert "agentprm study --profile llm --out results/study_llm.json" in capsys.readouterr().out
    (tmp_path / "results" / "study_llm.json").write_text(json.dumps(STORED))
    assert stored_study("llm") == STORED
    assert capsys.readouterr().out == "smol: agentprm x\ncommit abc, d, CPU\n"


def test_without_a_clone_results_come_from_the_web(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        notebook, "__file__", str(tmp_path / "agentprm_lite" / "tutorial" / "notebook.py")
    )
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "study_llm.json").write_text(json.dumps(STORED))
    (tmp_path / "web" / "regime").mkdir()
    zipped = gzip.compress(json.dumps(STORED).encode())
    (tmp_path / "web" / "regime" / "math.json.gz").write_bytes(zipped)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        web = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(notebook, "RESULTS", web)
        assert stored_study("llm") == STORED
        assert "agentprm x" in capsys.readouterr().out
        assert stored_raw("math") == STORED
        assert capsys.readouterr().out == "math: agentprm x\ncommit abc, d, CPU\n"
        assert stored_study("gpu") is None  # 404: not run yet
        assert capsys.readouterr().out == (
            "not stored yet; agentprm study --profile gpu --out results/study_gpu.json\n"
        )
        server.shutdown()
    (tmp_path / "results").mkdir()  # a clone
    assert stored_raw("math") is None
    assert (
        "not stored yet; agentprm regime --profile study --worlds math" in capsys.readouterr().out
    )
    (tmp_path / "results").rmdir()
    assert stored("first_run.txt") is None  # nobody answers any more
    assert f"{web}first_run.txt can't be reached" in capsys.readouterr().out


def test_notes_of_the_library_are_printed(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("agentprm_lite.loop").warning("nothing learned")
    logging.getLogger("agentprm_lite.loop").info("left out")
    assert capfd.readouterr() == ("nothing learned\n", "")


def test_panels_stand_in_a_row_that_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two panels and a legend: three images, none shown smaller than a pixel to the point."""
    pages: list[str] = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, raw: pages.append(data["text/html"])
    )
    curve = {"ORM": ([1, 2], [0.1, 0.2])}
    fig = plots.training_curves({"left": curve, "right": curve})
    notebook.show_figure(fig, alt="two panels of ORM", caption="It rises & falls.")
    (page,) = pages
    assert page.count("<img ") == 3 and "flex-wrap:wrap" in page
    assert re.findall(r'alt="([^"]+)"', page) == [
        "two panels of ORM",
        "part 2 of the figure: two panels of ORM",
        "part 3 of the figure: two panels of ORM",
    ]
    pairs = re.findall(r'width="(\d+)" style="min-width:(\d+)px', page)
    assert all(int(points) <= int(shown) <= 660 for shown, points in pairs)
    assert "<figcaption>It rises &amp; falls.</figcaption>" in page
