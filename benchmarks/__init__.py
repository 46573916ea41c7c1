"""Benchmarks of every optimised path against its plain formulation.

Run them with python -m benchmarks or, on a GPU, python -m benchmarks.gpu.
"""

import os

# Keep torch's profiler from reporting every start. This must be set before torch is imported.
os.environ.setdefault('KINETO_LOG_LEVEL', '6')
