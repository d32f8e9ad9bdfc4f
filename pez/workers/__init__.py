"""Work cut into chunks and shared out to workers: processes of this machine, or a Ray cluster.

:mod:`pez.workers.pool` says what work is and does it here, :mod:`pez.workers.processes` and
:mod:`pez.workers.cluster` hand it to others, :mod:`pez.workers.choose` reads ``--workers``.
"""
