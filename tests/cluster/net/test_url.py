"""Addresses taken apart: a host is asked for as browsers do, or a sentence says why not."""

import pytest

from pressrun.cluster.net.url import Url, file_name, parse_authority, shown


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://faß.de/a.png", "xn--fa-hia.de"),
        ("https://FASS.de/a.png", "fass.de"),
        ("https://βόλος.com/a", "xn--nxasmm1c.com"),
        ("https://bücher.example/a", "xn--bcher-kva.example"),
        ("https://BÜCHER.example/a", "xn--bcher-kva.example"),
        ("https://bu\u0308cher.example/a", "xn--bcher-kva.example"),
        ("https://bücher。example/a", "xn--bcher-kva.example"),
        ("https://نامه\u200cای.com/a", "xn--mgba3gch31f060k.com"),
        ("https://xn--fa-hia.de/a", "xn--fa-hia.de"),
        ("https://日本.example/a", "xn--wgv71a.example"),
        ("https://a_b.example/x", "a_b.example"),
        ("https://EXAMPLE.com./x", "example.com"),
    ],
)
def test_a_host_is_asked_for_as_browsers_do(address: str, host: str) -> None:
    assert Url.parse(address).host == host


@pytest.mark.parametrize(
    "host", ["📻.fm", "☃.net", "a_bü.example", "-ü.example", "٠a.ü", "ü" * 70 + ".de", "a\u200cb.ü"]
)
def test_a_host_that_no_domain_can_be_called_is_a_sentence(host: str) -> None:
    with pytest.raises(ValueError, match="names a host that no domain can be called; if it is one, write it as xn--…"):
        Url.parse(f"https://{host}/a.png")


def test_hosts_are_allowed_by_the_names_that_they_are_asked_by() -> None:
    assert parse_authority("faß.de:8443") == ("xn--fa-hia.de", 8443)


@pytest.mark.parametrize("sign", ["\u200e", "\u202e", "\u00ad", "\n", "\x85", "\ud800", "\ufeff"])
def test_other_signs_that_do_not_show_are_in_no_address(sign: str) -> None:
    with pytest.raises(ValueError, match="holds characters that no address has"):
        Url.parse(f"https://shop.example/a{sign}b.png")


def test_joined_letters_and_blanks_in_a_path_are_sent_encoded() -> None:
    assert Url.parse("https://shop.example/می\u200cخواهم 1.png").target == (
        "/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85%201.png"
    )


def test_a_picture_that_is_its_own_address_is_shown_by_its_kind_and_length() -> None:
    address = "data:image/png;base64," + "iVBORw0K" * 1000
    assert shown(address) == file_name(address) == "data:image/png;base64,… (8,022 characters)"
    assert shown("data:" + "x\x1b\n" * 100).isprintable() and len(shown("data:" + "x" * 5000)) < 100
    assert file_name("https://shop.example/a/mug.png?sig=1") == "mug.png" == file_name("/srv/mug.png")
