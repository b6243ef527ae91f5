"""The server's half: tells how many letters the names of all jobs have."""

import gaffer
from gaffer.api.web import Route


@gaffer.hookimpl
def gaffer_routes(manager):
    def letters(request):
        return {"letters": sum(map(len, manager.jobs()))}

    return [Route("GET", "/letters", handler=letters, permission="read")]
