"""Numbers of things, said as one says them."""


def amount(number: float, what: str) -> str:
    """``1 request``, ``1,000 fetches``, ``0.5 cores``: three digits where it is not whole."""
    if number == 1:
        return f"1 {what}"
    many = what + ("es" if what.endswith(("ch", "sh", "s", "x")) else "s")
    return f"{number:,.0f} {many}" if number == int(number) else f"{number:.3g} {many}"
