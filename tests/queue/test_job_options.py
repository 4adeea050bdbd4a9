"""What a user may ask for is one truth in three places: the type of the keywords, the value, the help."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_type_hints

from edgeprof.client import JobOptions, Lab, Request


def test_the_keywords_of_submit_are_the_fields_of_a_request() -> None:
    """An editor completes the keywords from JobOptions; the values live in Request."""
    of_request = get_type_hints(Request)

    assert get_type_hints(JobOptions) == {
        field.name: of_request[field.name] for field in fields(Request) if field.name != "model"
    }


def test_each_option_is_explained_where_it_is_asked_for() -> None:
    """`help(Lab.submit)` names every option."""
    explained = set(re.findall(r"\w+", Lab.submit.__doc__ or ""))

    assert set(JobOptions.__annotations__) <= explained
