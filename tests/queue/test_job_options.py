"""The keywords of `Lab.submit` and the fields of Request are one list."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import get_type_hints

from edgeprof.client import JobOptions, Request


def test_job_options_are_the_fields_of_a_request() -> None:
    """JobOptions has each field of Request but the model, with the same type."""
    fields = get_type_hints(Request)
    del fields["model"]

    assert get_type_hints(JobOptions) == fields


def test_each_option_is_explained_with_its_default() -> None:
    """The docstring of JobOptions explains each option, and states the default that Request has."""
    text = str(inspect.getdoc(JobOptions))  # since Python 3.13 __doc__ is without its margin
    explained = dict(re.findall(r"^(\w+): (.*(?:\n {4}.*)*)", text, re.MULTILINE))
    assert list(explained) == list(JobOptions.__annotations__)

    for field in dataclasses.fields(Request):
        if field.name in {"model", "platform", "board", "user", "require", "tags"}:
            continue
        value = f'"{field.default}"' if field.name == "source" else f"{field.default}"
        value = value.removesuffix(".0")
        assert f"Default: {value}" in " ".join(explained[field.name].split())
