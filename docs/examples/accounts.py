"""Makes a key that may only look, for an hour; give gafferd's URL as an argument."""

import sys

from gaffer.httpclient import Server


def main(uri="http://127.0.0.1:5000"):
    with Server(uri) as server:
        made = server.accounts.create_key({"read": ["default.dummy"]}, "dashboard", expires_in=3600)
    with Server(uri, api_key=made["api_key"]) as dashboard:
        print(dashboard.accounts.key()["label"], "sees", dashboard.jobs())
        print("deleted:", dashboard.accounts.delete_key() == [made["id"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
