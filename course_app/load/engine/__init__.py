"""The inside of the generator process; nothing here runs in its owner."""
