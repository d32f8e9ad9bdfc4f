"""The search: vocabulary, template and objective, and the loop that chooses the words."""
