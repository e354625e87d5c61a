"""Commands that measure the data code (``python -m benchmarks.data``) and attack it (``python -m benchmarks.fuzz``)."""
