"""One module per exercise: what is given, what solves it, how it is judged."""
