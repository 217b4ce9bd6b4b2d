"""Work for the CPU that another process can import: a notebook's cell cannot be imported."""


def compute() -> int:
    return sum(number * number for number in range(2_000_000))
