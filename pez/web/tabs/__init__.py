"""The tabs of the page, one file each; three of them share :mod:`pez.web.tabs.searching`."""
