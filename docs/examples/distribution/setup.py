from setuptools import setup

setup(
    name="gaffer-names",
    version="1.0",
    py_modules=["names_plugin", "names_cli"],
    install_requires=["gaffer"],
    entry_points={
        "gaffer.plugins": ["names = names_plugin"],
        "gaffer.cli": ["names = names_cli"],
    },
)
