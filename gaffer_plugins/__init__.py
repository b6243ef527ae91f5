"""The plugins that come with gaffer; each is found by its entry point, like a third-party one."""
