"""Many sources built as one run, against expectations or an earlier run."""
