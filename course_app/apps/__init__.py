"""Apps that worker processes import: a notebook's cell cannot hold them."""
