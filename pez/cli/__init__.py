"""The command line: flags, files and signals end here; the work is done below."""

from pez.cli.parser import main as main
