"""The published app on a machine without evenhand: its own files and the published models, over real HTTP."""

import os
import subprocess
import sys
import time

import pytest

from evenhand.evaluation import Seat
from evenhand.evaluation.models import load_model
from evenhand.evaluation.paired_difference import compare_results
from evenhand.model_cards.hub.space import publish_space
from evenhand.model_cards.space.compared_models import ComparedModel

pytest.importorskip("gradio", reason="needs gradio (the extra [space])")

# Whatever of evenhand is not in this folder cannot be imported, as where evenhand is not installed.
ALONE = """
import runpy, sys
from pathlib import Path

folder = Path(sys.argv[1])

class OnlyThisFolder:
    def find_spec(self, name, path=None, target=None):
        place = folder / name.replace(".", "/")
        if name.split(".")[0] == "evenhand" and not place.is_dir() and not place.with_suffix(".py").is_file():
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyThisFolder())
sys.path.insert(0, str(folder))
import evenhand.evaluation.seat
assert Path(evenhand.evaluation.seat.__file__).is_relative_to(folder), evenhand.evaluation.seat.__file__
runpy.run_path(str(folder / "app.py"), run_name="__main__")
"""
WORDS = {"X": "man\nboy\nbrother", "Y": "woman\ngirl\nsister", "A": "office\nsalary", "B": "home\nfamily"}


@pytest.mark.heavy
def test_the_published_app_runs_alone_and_gives_the_evaluators_numbers(hub, api, made_run, tmp_path):
    client = pytest.importorskip("gradio_client")
    for name in ("teacher", "student"):
        files = {
            path.name: path.read_bytes() for path in (made_run / name).iterdir() if path.name != "training_args.bin"
        }
        files |= {"pytorch_model.bin": b"a pickle that could run code", "modeling.py": b"raise SystemExit"}
        hub.add_repository(f"ada/{name}", files=files)
    models = [
        ComparedModel("ada/teacher", "ada/teacher", "teacher"),
        ComparedModel("ada/student", "ada/student", "student", "ada/teacher"),
    ]
    publish_space(models, "ada/compare", tmp_path / "staged", api=api)
    elsewhere = tmp_path / "elsewhere"
    for path, content in hub.repository("ada/compare", "space").files().items():
        (elsewhere / path).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / path).write_bytes(content)
    with running(elsewhere, hub.address, tmp_path) as address:
        caller = client.Client(address, verbose=False)
        boxes = [part for role, words in WORDS.items() for part in (role, words, "noun")]
        table, reading, plot, file = caller.predict("Words, put into frames", "", "cls", *boxes, api_name="/compare")
        words, _ = caller.predict("The [MASK] came up again.", 3, "man, woman", api_name="/fill")
        with pytest.raises(Exception, match="X has no words"):
            caller.predict("Words, put into frames", "", "cls", "X", "", *boxes[2:], api_name="/compare")
    seat = Seat(pooling="cls", stimuli=word_list(tmp_path))
    teacher, student = (seat.run(*load_model(made_run / name)) for name in ("teacher", "student"))
    change = compare_results(student.to_dict(), teacher.to_dict())["tests"]["own"]
    for number in (*(r.tests["own"].effect_size for r in (teacher, student)), change["difference"]):
        assert f"<td>{number:+.3f}</td>" in table
    assert "pooling cls" in reading and plot["plot"].startswith("data:image/png") and "X: X" in file["value"]
    assert words.count("<tr>") == 3
    fetched = [path.name for path in (tmp_path / "home").rglob("*") if not path.is_dir()]
    assert "model.safetensors" in fetched and not {"pytorch_model.bin", "modeling.py"} & set(fetched)


def word_list(folder):
    sets = "".join(f"  {r}: {{class: noun, words: [{', '.join(text.split())}]}}\n" for r, text in WORDS.items())
    (folder / "own.yaml").write_text(f"sets:\n{sets}tests:\n  own: {{X: X, Y: Y, A: A, B: B}}\n")
    return folder / "own.yaml"


class running:
    """The app's process, and its address once it answers; ended at the end of the block."""

    def __init__(self, folder, hub, home):
        kept = {
            key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_TOKEN", "PYTHONPATH")
        }
        self.environment = {
            **kept,
            **{"HF_ENDPOINT": hub, "HF_HOME": str(home / "home"), "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"},
            **{"NO_PROXY": "127.0.0.1,localhost", "GRADIO_ANALYTICS_ENABLED": "False"},
        }
        self.folder, self.log = folder, home / "app.log"

    def __enter__(self):
        command = [sys.executable, "-u", "-c", ALONE, str(self.folder)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 120
        while "http://" not in (said := self.log.read_text()):
            assert self.process.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)
        return "http://" + said.split("http://")[1].split()[0]

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
