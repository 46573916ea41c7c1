"""Every shortcut timed against its plain formulation: python -m benchmarks, benchmarks.gpu."""

import os

# Before torch is imported: its profiler would report every start.
os.environ.setdefault('KINETO_LOG_LEVEL', '6')
