"""Recordings on disk: read, checked, repaired, played again, summarised."""
