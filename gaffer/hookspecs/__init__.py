"""Every hook of gaffer, with its contract. Import :data:`MODULES` to register them.

Each specification says, in this order: what it is for, *When* it is called, what
an implementation *May* do, what it *Returns* and what happens *On exception*.
The kind stands in the first line's brackets:

``SETUP`` historic calls at registration; a plugin that fails is refused.
``ASK`` every answer counts, an exception stops the operation and names the plugin.
``ASK1`` the first answer that is not None wins.
``COLLECT`` every answer on its own; one that fails is left out and logged.
``TELL`` after the fact, in order, through the plugin's own bounded outbox.
"""

from . import lifecycle, lookup, observe, supervision, web

MODULES = (lifecycle, supervision, observe, web, lookup)
