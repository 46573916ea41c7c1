"""Every shortcut timed against its plain formulation: ``python -m benchmarks``; on a GPU also
``python -m benchmarks.gpu``.
"""

import os

os.environ.setdefault(
    'KINETO_LOG_LEVEL', '6'
)  # before torch is imported: its profiler would report every start
