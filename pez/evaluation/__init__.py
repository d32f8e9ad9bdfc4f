"""Measuring prompts: a plan becomes units of work, their results a folder, the folder a table.

plan_file.py  what a plan file may say (entries.py reads it, checks.py rejects invalid plans),
plan.py       as data, with its tables in plan_entries.py
originals.py  the pictures of the plan's data sets, drawn once and stored
tasks/        what a prompt is searched for and compared with: an item, its text, several items
expand.py     these x methods x lengths x models x seeds, and what is measured of each prompt,
units.py      as units
kinds/        each kind of unit: what it applies to, its batches, its work, its columns
judges/       what compares pictures and texts
store.py      results on disk, one file a unit
table.py      the rows of the table
work.py       does one batch of units
run.py        what is missing (batches.py), through a pool of workers

Tasks, kinds of units and judges are registries: one file and one line add one.
"""
