"""The page of ``pez serve``: what the command line does, in a browser.

Like the command line it calls :mod:`pez.api` and holds no search of its own. Every visitor has a
desk (:mod:`pez.web.desk`), models are shared (:mod:`pez.web.models`), and all work goes through
one queue.
"""
