"""A launch is checked against the machine before anything starts, and accelerate is told what the config leaves open."""

import re

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from fake_gpus import pretend_gpus

from evenhand.launch import accelerate_plan
from evenhand.launch.accelerate_plan import CONFIGS, LaunchOptions, find_config, plan_launch
from evenhand.launch.command import main
from evenhand.trainer import device_support

NAMES = ("cpu", "ddp", "multi_node", "one_gpu", "zero1", "zero2")
TWO_NODES = {"SLURM_NNODES": "2", "SLURM_NODEID": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29555"}


def planned(name, training=None, environment=None, **options):
    return plan_launch(name, LaunchOptions(**options), training or {}, environment or {})


def as_accelerate_reads_them(plan):
    return launch_command_parser().parse_args([*plan.arguments, "-m", "module"])


@pytest.fixture
def four_v100s(monkeypatch):
    pretend_gpus(monkeypatch, (7, 0), count=4)


# -- the packaged files --------------------------------------------------------------------------------------------


def test_these_configs_are_packaged():
    assert tuple(sorted(path.stem for path in CONFIGS.glob("*.yaml"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_packaged_config_is_one_of_accelerates_and_opens_with_the_command_that_runs_it(name):
    path = CONFIGS / f"{name}.yaml"
    config = load_config_from_file(str(path))
    assert config.mixed_precision == ("no" if name == "cpu" else "fp16")
    comment = re.match(r"(#.*\n)+", path.read_text(encoding="utf-8"))[0]
    assert f"--accelerate {name} " in comment
    assert f"accelerate launch --config_file {name}.yaml" in comment
    assert "<" not in path.read_text(encoding="utf-8")  # no placeholder to edit


@pytest.mark.parametrize(("name", "stage"), [("zero1", 1), ("zero2", 2)])
def test_the_zero_configs_leave_batches_and_clipping_to_the_recipe(name, stage):
    settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))["deepspeed_config"]
    assert settings["zero_stage"] == stage
    assert not {"gradient_accumulation_steps", "gradient_clipping"} & set(settings)


# -- plans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "processes"), [("ddp", 4), ("zero1", 4), ("zero2", 4), ("one_gpu", 1)])
def test_a_gpu_config_starts_as_it_stands_on_four_v100s(four_v100s, name, processes):
    plan = planned(name)
    read = as_accelerate_reads_them(plan)
    assert (read.num_processes, read.num_machines, read.mixed_precision) == (processes, 1, "fp16")
    assert read.main_process_port == 0  # a free one: two jobs may share a machine
    assert (plan.processes_here, plan.on_cpu) == (processes, False)


def test_the_command_line_wins_over_the_config(four_v100s):
    read = as_accelerate_reads_them(planned("ddp", num_processes=2, mixed_precision="no", main_process_port=1234))
    assert (read.num_processes, read.mixed_precision, read.main_process_port) == (2, "no", 1234)


def test_several_machines_come_from_slurm(four_v100s):
    plan = planned("multi_node", environment=TWO_NODES)
    read = as_accelerate_reads_them(plan)
    assert (read.num_machines, read.machine_rank, read.num_processes, plan.processes_here) == (2, 1, 8, 4)
    assert (read.main_process_ip, read.main_process_port) == ("node7", 29555)


def test_or_from_the_command_line_which_wins(four_v100s):
    given = {"num_machines": 3, "machine_rank": 0, "num_processes": 6, "main_process_ip": "node0"}
    plan = planned("multi_node", environment=TWO_NODES, **given)
    read = as_accelerate_reads_them(plan)
    assert {name: getattr(read, name) for name in given} == given
    assert plan.processes_here == 2


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, "needs --num-machines"),
        ({"num_machines": 2}, r"needs --machine-rank \(or SLURM_NODEID\) and --main-process-ip \(or MASTER_ADDR\)"),
        ({"num_machines": 2, "machine_rank": 2, "main_process_ip": "a"}, "must lie between 0 and 1, not 2"),
        ({"num_machines": 2, "num_processes": 3}, "3 processes on 2 machines do not come out even"),
    ],
)
def test_what_several_machines_lack_is_named(four_v100s, given, needed):
    with pytest.raises(ValueError, match=needed):
        planned("multi_node", **given)


@pytest.mark.parametrize("name", NAMES)
def test_every_config_can_be_tried_on_the_cpu(monkeypatch, name):
    pretend_gpus(monkeypatch, count=0)
    plan = planned(name, {"use_cpu": True}, num_processes=2, mixed_precision="no", num_machines=1)
    assert plan.on_cpu and plan.processes_here == 2


def test_a_config_of_ones_own_is_read_from_its_path(four_v100s, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("distributed_type: MULTI_GPU\nnum_processes: 3\nmixed_precision: bf16\n", encoding="utf-8")
    assert as_accelerate_reads_them(planned(str(own), mixed_precision="fp16")).num_processes == 3
    with pytest.raises(ValueError, match=r"bf16 needs a GPU of compute capability 8\.0"):
        planned(str(own))


# -- refusals ------------------------------------------------------------------------------------------------------


def test_an_unknown_config_names_the_packaged_ones():
    with pytest.raises(FileNotFoundError, match=", ".join(NAMES)):
        find_config("zero4")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("distributed_type: [", "cannot be used"),
        ("num_processes: 2\n", "distributed_type"),
        ("distributed_type: MULTI_GPU\nnum_gpus: 2\n", "unknown keys.*num_gpus"),
        ("- a\n", "cannot be used"),
        ("distributed_type: MULTI_GPU\nmixed_precision: fp8\n", "mixed_precision must be one of no, fp16, bf16"),
        ("distributed_type: FSDP\nnum_processes: 1\n", "FSDP is not supported"),
        (
            "distributed_type: DEEPSPEED\nnum_processes: 1\ndeepspeed_config: {zero_stage: 3}\n",
            "ZeRO-3 is not supported",
        ),
        ("distributed_type: MEGATRON_LM\nnum_processes: 1\n", "MEGATRON_LM is not supported"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(four_v100s, tmp_path, text, named):
    own = tmp_path / "mine.yaml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=named):
        planned(str(own))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    pretend_gpus(monkeypatch, count=2)
    with pytest.raises(ValueError, match=r"4 processes.*torch sees 2.*--num-processes 2"):
        planned("ddp")
    assert planned("ddp", num_processes=2).processes_here == 2


def test_a_wheel_without_kernels_for_volta_is_refused(monkeypatch):
    pretend_gpus(monkeypatch, (7, 0), count=4, architectures=("sm_80", "sm_90"))
    with pytest.raises(ValueError, match=r"no kernels for sm_70.*cu126"):
        planned("ddp")


def test_zero_without_deepspeed_is_refused(four_v100s, monkeypatch):
    monkeypatch.setattr(device_support.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"ZeRO needs DeepSpeed.*evenhand\[deepspeed\]"):
        planned("zero1")
    assert planned("ddp")


def test_the_precision_of_the_recipe_is_the_one_that_counts(four_v100s):
    with pytest.raises(ValueError, match="bf16 needs"):
        planned("ddp", {"bf16": True})
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        planned("cpu", {"fp16": True})


# -- through the command -------------------------------------------------------------------------------------------


@pytest.fixture
def refused(capsys, tmp_path, tiny_recipe, monkeypatch):
    """The one line with which a command ends that must neither start nor write anything."""
    pretend_gpus(monkeypatch, count=0)

    def check(*arguments, **sections):
        recipe = tiny_recipe(**sections)
        capsys.readouterr()
        assert main(["distill", recipe, "--output-dir", str(tmp_path / "run"), *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("evenhand distill: ")
        assert not (tmp_path / "run").exists()
        return lines[0]

    return check


ON_GPU = {"use_cpu": False}


def test_an_unknown_config_is_one_line(refused):
    assert "packaged ones: cpu, ddp" in refused("--accelerate", "zero4")


def test_ddp_is_the_default_and_needs_gpus(refused):
    assert "4 processes were asked for" in refused("--accelerate", training=ON_GPU)
    assert "4 processes were asked for" in refused("--accelerate", "training.seed=3", training=ON_GPU)
    assert "4 processes were asked for" in refused("training.seed=3", "--accelerate", "ddp", training=ON_GPU)


def test_fp16_on_the_cpu_is_one_line(refused):
    assert "fp16 needs a GPU" in refused("--accelerate", "zero1")
    assert "fp16 needs a GPU" in refused("training.fp16=true")


def test_deepspeed_that_is_missing_is_one_line(refused, monkeypatch):
    monkeypatch.setattr(accelerate_plan, "deepspeed_advice", lambda: "ZeRO needs DeepSpeed")
    assert "ZeRO needs DeepSpeed" in refused("--accelerate", "zero2", "--mixed-precision", "no")


def test_launch_options_alone_are_refused(refused):
    assert "--num-machines needs --accelerate NAME" in refused("--num-machines", "2")


def test_a_wrong_recipe_is_named_before_anything_is_launched(refused):
    assert "Unknown recipe key training.learning_rat" in refused("--accelerate", "cpu", "training.learning_rat=1")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("training.effective_batch_size=9", "effective_batch_size 9 cannot be made of micro-batches"),
        ("training.per_device_train_batch_size=0", "per_device_train_batch_size must be at least 1"),
        ("training.gradient_accumulation_steps=0", "gradient_accumulation_steps must be at least 1"),
        ("training.max_steps=0", "max_steps must be at least 1"),
    ],
)
def test_impossible_batch_arithmetic_is_one_line(refused, override, named):
    assert named in refused(override)
