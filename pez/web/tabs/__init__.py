"""The tabs of the page, one file each; :mod:`pez.web.tabs.searching` is what three of them share."""
