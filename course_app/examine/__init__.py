"""An app of one's own examined: served in a process of its own, asked, watched, and judged."""
