"""Kit for HTTP plugins and for lookupd: routes, the application, its guard and the server.

Plugins need :class:`gaffer.web.routes.Route` only. :mod:`gaffer.web.app` imports bottle and
:mod:`gaffer.web.server` imports gevent.pywsgi, so both are imported when they are first used.
"""
