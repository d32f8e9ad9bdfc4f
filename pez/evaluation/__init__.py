"""Measuring prompts: a plan becomes units of work, their results a folder, the folder a table.

plan.py       what a plan file may say
originals.py  the pictures of the plan's data sets, drawn once and kept
units.py      items x methods x lengths x models x seeds, and what is asked of each prompt
store.py      results on disk, one file a unit; the rows of the table
work.py       one batch of units done: the only place that loads models
run.py        what is missing, in batches, through a pool of workers
"""
