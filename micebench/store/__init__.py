"""The run directory: journals, image blobs, manifest, keys, parquet. Only this room writes into a run."""
