"""Which addresses are taken, and what of them is shown."""

from __future__ import annotations

import pytest

from edgeprof.client.notify import Wish
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.notify_address import NotifyAddress


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hooks.example.org/T0/SECRET", "hooks.example.org"),
        ("http://me:SECRET@chat.local:8065/hooks/x?key=SECRET", "chat.local"),
        ("https://[2001:db8::1]/x", "[2001:db8::1]"),
        ("mailto:ann@example.org", "ann@example.org"),
        ("mailto:ann%2Blab@example.org", "ann+lab@example.org"),
    ],
)
def test_of_a_url_only_the_host_is_shown(address: str, shown: str) -> None:
    """The path of a chat's webhook is its password."""
    found = NotifyAddress.parse(address)

    assert found.shown == shown
    assert "SECRET" not in repr(found)


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://example.org/SECRET", "example.org", "https://", "https:///SECRET", ""),
        *("https://example.org:port/SECRET", "https://[::1/SECRET", "https://a b/SECRET"),
        *("https://example.org/SECRET#part", "https://exämple.org/SECRET", "x" * 3000),
        *("https://example.org/\r\nSECRET: 1", "file:///etc/SECRET"),
        f"https://{'x' * 70}.org/SECRET",
        *("mailto:", "mailto:ann", "mailto:ann@", "mailto:a@b.org,c@d.org"),
        *("mailto:ann@b.org?cc=c@d.org", "mailto:ann%0A@b.org", "mailto:Ann <ann@b.org>"),
    ],
)
def test_what_nothing_can_be_sent_to_is_refused(address: str) -> None:
    """The error has a hint, and does not repeat what may be a secret."""
    with pytest.raises(UsageError) as caught:
        Wish.of([address])

    assert caught.value.hint
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("conditions", "against", "said"),
    [
        (["decode<-3%"], None, "nothing is named"),
        (["decode<3"], "baseline:main", "--notify-if 'decode<3' is no condition"),
        (["decoed<-3%"], "baseline:main", "no measure 'decoed'"),
    ],
)
def test_a_condition_is_checked_at_once(conditions: list[str], against: str, said: str) -> None:
    """What is wrong with a condition is not found out in the night."""
    with pytest.raises(UsageError, match=said):
        Wish.of(["mailto:ann@example.org"], conditions, against)
    with pytest.raises(UsageError, match="nobody to notify"):
        Wish.of([], ["missing"], "baseline:main")


def test_secrets_may_be_in_files(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable may name a file; an error names the variable and the file, not what is in it."""
    path = f"{tmp_path}/secret"
    good = "whsec_" + "c2VjcmV0" * 5
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - as text
        file.write(f"{good}\n")
    monkeypatch.setenv("EDGEPROF_NOTIFY_SECRET", path)
    assert NotifySettings.read().notify_secret == good
    assert good not in repr(NotifySettings.read())

    monkeypatch.setenv("EDGEPROF_SMTP_URL", path)
    with pytest.raises(UsageError, match=f"EDGEPROF_SMTP_URL: {path} does not hold") as caught:
        NotifySettings.read()
    assert good not in str(caught.value)
    monkeypatch.setenv("EDGEPROF_SMTP_URL", "/nowhere/at/all")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        NotifySettings.read()
