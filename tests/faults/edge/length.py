"""How long the fault tests run: the long form is for `make faults`."""

import os
from typing import Final

LONG: Final = os.environ.get("HEARTHWATCH_FAULTS") == "long"
