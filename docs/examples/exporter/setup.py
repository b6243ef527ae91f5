from setuptools import setup

setup(
    name="gaffer-names-export",
    version="1.0",
    py_modules=["names_export"],
    install_requires=["gaffer"],
    entry_points={"gaffer.exporters": ["names = names_export"]},
)
