"""The commands of gafferctl."""
