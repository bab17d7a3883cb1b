"""How well the reading of plates works, on any folder of labelled pictures: figures, errors to look at, calibration.

`python -m models.evaluate` prints the table, `python -m models.evaluate.calibrate` fits what a confidence is worth,
and `python -m models.evaluate.drawn` measures drawn plates that nobody trained on.  The rules are in `scoring`.
"""

from models.evaluate.table import wilson
from models.evaluate.texts import same

__all__ = ["same", "wilson"]
