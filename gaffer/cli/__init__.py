"""The command lines gafferctl and gaffer; each module holds one group of commands.

Commands are imported when they are called, so that ``gafferctl ping`` starts
fast: neither gevent nor bottle, and no plugin, is loaded for it.
"""
