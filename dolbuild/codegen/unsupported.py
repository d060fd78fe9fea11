"""What the language has and this version cannot compile."""


class Unsupported(Exception):
    """Raised where a function holds it; carries the source offset and what it is.

    The function becomes a symbol that cannot be linked, so that a program is refused only if it reaches it.
    """

    def __init__(self, start: int, what: str) -> None:
        super().__init__(what)
        self.start = start
        self.what = what
