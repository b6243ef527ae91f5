"""Posts the events of a manager of one's own.

WEBHOOK_SECRET=... python embedded.py http://127.0.0.1:8080/
"""

import os
import sys

from gaffer import Manager
from gaffer.webhooks import WebHooks

url = sys.argv[1]
webhooks = WebHooks(hooks=[("create", url), ("proc.clock", url)], secret=os.environ["WEBHOOK_SECRET"])

manager = Manager()
manager.start(apps=[webhooks])
manager.load({"name": "clock", "cmd": "sleep 1000"})
manager.load({"name": "other", "cmd": "sleep 1000"})

webhooks.register_hook("proc.other.stop", url)
manager.stop()
print("sent", sum(one["sent"] for one in webhooks.status()["webhooks"]))
