"""What is kept and told of a build: log, report, history, events."""
