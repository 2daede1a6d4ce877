"""The jobs of a run on other machines, by dask.distributed."""
