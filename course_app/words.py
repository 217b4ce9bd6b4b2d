"""Numbers of things, said as one says them."""


def amount(number: float, what: str) -> str:
    """``1 request``, ``1,000 fetches``, ``0.5 cores``: three digits where it is not whole."""
    said = f"{number:,.0f}" if abs(number) >= 100 or number == round(number) else f"{number:.3g}"
    ending = "es" if what.endswith(("ch", "sh", "s", "x")) else "s"
    return f"{said} {what}{'' if said == '1' else ending}"
