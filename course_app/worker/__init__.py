"""Python processes of ours that work for this one, and how they talk; standard library only."""
