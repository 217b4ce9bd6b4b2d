"""Known wrong answers, as learners make them."""
WRONG_ANSWERS=()
