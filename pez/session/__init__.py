"""What is computed once for a run: words, language model, draft, prompt form, lengths."""
