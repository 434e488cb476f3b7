"""The verdict of a benchmark: each figure beside its aim and its floor, and the exit status."""


class Verdict:
    """The figures that missed their floor so far."""

    def __init__(self) -> None:
        """Begin without a figure."""
        self.missed: list[str] = []

    def judge(self, name: str, text: str, value: float, aim: float, floor: float, more: bool = False) -> None:
        """Print one figure on one line.

        Args:
            name: Of the figure.
            text: The value with its unit.
            value: The value.
            aim: Wanted.
            floor: Beyond it, the benchmark fails.
            more: True if more is better. Default: False.
        """
        reached, kept = (value >= aim, value >= floor) if more else (value <= aim, value <= floor)
        verdict = "aim reached" if reached else "within the floor" if kept else "beyond the floor"
        print(f"{name}: {text} (aim {aim:g}, floor {floor:g}): {verdict}", flush=True)
        if not kept:
            self.missed.append(name)

    def status(self) -> int:
        """Print the verdict, and return the exit status."""
        print(f"FAIL: {', '.join(self.missed)}" if self.missed else "PASS", flush=True)
        return 1 if self.missed else 0
