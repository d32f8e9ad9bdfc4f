"""Which words stand where: vocabulary, template and objective, and the loop that chooses them."""
