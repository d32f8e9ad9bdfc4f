"""The method of docs/adding-a-method.md: nothing but what one must have, a start and a step."""

from pages import DOCS, install, read_page

Toy = install(read_page(DOCS / "adding-a-method.md"))["pez.methods.toy"].Toy
