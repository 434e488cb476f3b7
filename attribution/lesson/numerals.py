"""Numbers as the lesson shows them."""


def signed(value: float) -> str:
    """Return three decimals with a sign, and a minus as long as a plus; zero has none."""
    return f"{value:+.3f}".replace("-", "\u2212") if round(value, 3) else "0"


def plain(value: float) -> str:
    """Return three decimals below ten, else three significant digits."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"
    return text.replace("-", "\u2212")


def percent(share: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * share:.1f}%".replace("-", "\u2212")
