"""Files of others, read with distrust: each kind has one reader, and whatever is wrong with a
file is a PezError that names the file, the line and what is expected.

text.py       text: UTF-8, of a bounded size; lines
documents.py  JSON, JSON lines and TOML
tables.py     CSV and TSV, in and out
prompts.py    prompts from any of these; whether a word is a text or names a file
places.py     paths that must stay within a folder
embeddings.py textual inversions and soft prompts, in every form they come in
parameters.py how a picture was drawn, as web UIs record it
pictures.py   which picture formats are read, and what a folder holds beside them
"""
