"""Stands in for ComfyUI's package of this name, where ComfyUI itself is not at hand."""
