"""What a finished prompt does: what each word adds, where it looks, and which words are near it."""
