# What `evenhand distill` ends with where it was asked to stop: a checkpoint is written, run me again.
readonly requeue_code=@{requeue_code}@
readonly max_requeues=@{max_requeues}@

cd @{directory|quote}@ || exit 1
export PATH=@{bin|quote}@:"$PATH"
export TOKENIZERS_PARALLELISM=false
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" # srun does not inherit it
@% if offline %@
export HF_HUB_OFFLINE=1 # everything from the caches: `evenhand doctor RECIPE` says what they lack
@% endif %@
@% for line in setup %@
@{line}@
@% endfor %@

step=
signalled=no # a trap has run: `wait` came back before the step did
ending=no    # Slurm ends the job (scancel, preemption) and decides by itself whether to start it again
trap 'signalled=yes; [ -z "$step" ] || kill -USR1 "$step"' USR1
trap 'signalled=yes; ending=yes' TERM

# The inner trap is inherited: Slurm hands the signal to every process of the step, and none may die of it. The training sets a handler of
# its own. A node that ends with the code to requeue on does not end the others (--kill-on-bad-exit): they come to it by themselves, at the same
# step. But one that failed must not leave them waiting for it: its launcher ends within 30 seconds of a lost process, and the step 20 later.
srun --kill-on-bad-exit=0 --wait=20 bash -c 'trap "" USR1; exec "$@"' step \
    evenhand distill "$recipe" --output-dir "$output_dir"@% if arms %@ --arms @{arms|quote}@@% endif %@ --accelerate @{accelerate|quote}@@% for word in words %@ @{word|quote}@@% endfor %@ &
step=$!

while true; do
    signalled=no
    wait "$step"
    code=$?
    [ "$signalled" = yes ] || break
done

if [ "$code" -ne "$requeue_code" ] || [ "$ending" = yes ]; then
    exit "$code"
fi
if [ "${SLURM_RESTART_COUNT:-0}" -ge "$max_requeues" ]; then
    echo "Job $job was requeued $max_requeues times and is not done; submit it again to go on." >&2
    exit "$code"
fi
echo "A checkpoint is written; requeueing job $job."
scontrol requeue "$job" || exit "$code"
