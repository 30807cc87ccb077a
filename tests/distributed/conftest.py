import sys
from pathlib import Path

# the tiny distillation is shared with the tests of one process
sys.path.insert(0, str(Path(__file__).parent.parent / "invariant"))
