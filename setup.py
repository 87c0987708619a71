"""Everything is declared in setup.cfg; this file lets old front ends find it."""

from setuptools import setup

setup()
