"""Measuring prompts: a plan becomes units of work, their results a folder, the folder a table.

plan.py       what is measured (plan_file.py reads it, checks.py refuses what cannot be)
units.py      the nouns: originals, subjects, units, prompts with all that is asked of them, batches
originals.py  the pictures of the plan's data sets, drawn once and kept
tasks.py      what a prompt is searched for and compared with: an item, its text, several items
expand.py     these x methods x lengths x models x seeds, and what is asked of each prompt
store.py      results on disk, one file a unit; the rows of the table
work.py       one batch of units done: the only place that loads models (bench.py holds them)
run.py        what is missing, in batches, through a pool of workers
"""
