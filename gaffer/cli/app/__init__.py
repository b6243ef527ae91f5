"""The commands of gaffer for Procfile applications."""
