"""The story's messages and its account of what became of them."""

import json
import random
from typing import Any

from arena_exports.model import ItemGuid  # noqa: F401 - replaced below
