"""Training arguments of a distillation."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import Trainer, TrainingArguments

TEACHER_DTYPES = ("auto", "float32", "float16", "bfloat16")
SAMPLING_STRATEGIES = ("random", "group_by_length")


@dataclass
class DistillationArguments(TrainingArguments):
    """``TrainingArguments`` with the settings of DistilBERT's training (Sanh et al. 2019, released recipe) as defaults.

    Changed defaults: ``learning_rate`` 5e-4, ``adam_beta2`` .98, ``adam_epsilon`` 1e-6, ``warmup_steps`` .05 (a share of all
    steps), ``max_grad_norm`` 5, ``remove_unused_columns`` False (the teacher and the transforms need columns that the student's
    forward does not name), ``ddp_find_unused_parameters`` and ``ddp_broadcast_buffers`` False (every parameter is in the graph
    of every micro-batch), ``logging_nan_inf_filter`` False (a non-finite loss stops the run instead of being hidden),
    ``save_total_limit`` 2.

    Raises:
        ValueError: a value outside its range; more than one GPU in one process (``nn.DataParallel``).
    """

    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate of AdamW."})
    adam_beta2: float = field(default=0.98, metadata={"help": "Second-moment decay of AdamW."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of AdamW."})
    warmup_steps: float = field(
        default=0.05, metadata={"help": "Warm-up: below 1 a share of all steps, else a number."}
    )
    max_grad_norm: float = field(default=5.0, metadata={"help": "Gradient norm above which gradients are scaled down."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Keep all columns of the data set."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "DDP: look for unused parameters."}
    )
    ddp_broadcast_buffers: bool | None = field(default=False, metadata={"help": "DDP: broadcast buffers each forward."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide non-finite losses in the log."})
    save_total_limit: int | None = field(default=2, metadata={"help": "How many checkpoints are kept."})

    # Parameters that control the corruption of the input
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of real tokens that become MLM targets."})
    mlm_smoothing: float = field(
        default=0.7,
        metadata={"help": "Targets are drawn in proportion to count ** -smoothing; 0 draws all words alike."},
    )

    # Parameters that control teacher and student
    teacher_dtype: str = field(
        default="auto", metadata={"help": "Precision of the teacher: auto, float32, float16 or bfloat16."}
    )
    freeze_position_embeddings: bool = field(
        default=True, metadata={"help": "Keep the student's position embeddings at the teacher's values."}
    )
    head_chunk_size: int = field(
        default=256, metadata={"help": "Rows of logits in memory at once; smaller needs less memory."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_dtype not in TEACHER_DTYPES:
            raise ValueError(f"teacher_dtype must be one of {', '.join(TEACHER_DTYPES)}, not {self.teacher_dtype!r}.")
        if not 0 < self.mlm_probability <= 1:
            raise ValueError(f"mlm_probability must be above 0 and at most 1, not {self.mlm_probability}.")
        if not 0 <= self.mlm_smoothing < float("inf"):
            raise ValueError(f"mlm_smoothing must be 0 (uniform) or above, not {self.mlm_smoothing}.")
        if self.train_sampling_strategy not in SAMPLING_STRATEGIES:
            raise ValueError(
                f"train_sampling_strategy must be one of {', '.join(SAMPLING_STRATEGIES)}, not {self.train_sampling_strategy!r}."
            )
        if self.load_best_model_at_end:
            raise ValueError(
                "load_best_model_at_end is not supported: a distillation ends with its last step's student."
            )
        if self.head_chunk_size < 1:
            raise ValueError(f"head_chunk_size must be at least 1, not {self.head_chunk_size}.")
        if self.n_gpu > 1:
            raise ValueError(
                f"{self.n_gpu} GPUs are visible to one process, which would use nn.DataParallel; start with "
                "`accelerate launch -m evenhand.launch.distill RECIPE`, or show one GPU with CUDA_VISIBLE_DEVICES=0."
            )
        if not hasattr(Trainer, "loss_is_scaled_for_ga"):
            raise ValueError(
                "This transformers release ignores Trainer.loss_is_scaled_for_ga and would multiply gradients by accumulation "
                "and processes; install transformers>=5.23."
            )
