"""Where events go: JSONL, recordings, a terminal."""
