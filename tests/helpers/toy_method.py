"""The method of docs/adding-a-method.md, with only what a method needs: a start and a step."""

from pages import DOCS, install, read_page

Toy = install(read_page(DOCS / "adding-a-method.md"))["pez.methods.toy"].Toy
