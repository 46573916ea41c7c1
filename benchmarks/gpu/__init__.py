"""The GPU check: python -m benchmarks.gpu; see benchmarks/gpu/__main__.py."""
