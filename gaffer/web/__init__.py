"""HTTP for gafferd, lookupd and plugins: routes, the WSGI application, the access guard and the server.

Plugins need :class:`gaffer.web.requests.routes.Route` only. :mod:`gaffer.web.application` imports bottle and
:mod:`gaffer.web.server.server` imports gevent.pywsgi, so both are imported when they are first used.
"""
