"""What may be written to a stream."""

import os
from collections.abc import Mapping
from typing import TextIO


def wants_color(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to write colours: to a terminal that has them, unless ``NO_COLOR`` is set to anything (https://no-color.org)."""
    given = os.environ if environment is None else environment
    return stream.isatty() and not given.get("NO_COLOR") and given.get("TERM") != "dumb"
