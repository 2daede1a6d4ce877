"""One build: plan, execution, log, resources, report."""
