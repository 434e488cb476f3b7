"""Numbers as the lesson shows them."""


def signed(value: float) -> str:
    """Return three decimals with a sign, and a minus as long as a plus; zero has none."""
    return f"{value:+.3f}".replace("-", "\u2212") if round(value, 3) else "0"


def plain(value: float) -> str:
    """Return three significant digits without an exponent where that is short."""
    text = f"{value:.3g}" if abs(value) >= 5e-4 or value == 0 else "0.000"
    return text.replace("-", "\u2212")


def percent(share: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * share:.1f}%".replace("-", "\u2212")
