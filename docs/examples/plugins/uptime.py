"""Two routes: one answers by itself, the other by a command that gaffer has."""

import gaffer
from gaffer.api.web import Route


@gaffer.hookimpl
def gaffer_routes(manager):
    def uptime(request):
        return {"uptime": manager.uptime(), "path": request.path}

    return [
        Route("GET", "/uptime", handler=uptime, permission="read", summary="seconds since the start"),
        Route("POST", "/jobs/<session>/<job>/again", command="restart_job", status=202),
    ]
