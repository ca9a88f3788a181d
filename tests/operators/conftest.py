"""Puts what these tests share on the path: the operator contract and the bar scenarios."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
