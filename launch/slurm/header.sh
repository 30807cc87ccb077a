#SBATCH --job-name=@{name}@
#SBATCH --nodes=@{nodes}@
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:@{gpus}@
#SBATCH --cpus-per-task=@{cpus}@
#SBATCH --time=@{time}@
@% for option in options %@
#SBATCH --@{option|option}@
@% endfor %@
# @{notice}@ seconds before the time limit Slurm signals this script (B: the script alone), which hands the signal on
#SBATCH --signal=B:USR1@@{notice}@
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=@{log|quote}@
