"""What runs in the examined app's own process: it serves the app and writes down what it does."""
