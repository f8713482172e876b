"""Addresses: every spelling and every embedding, in URLs on the permitted ports."""

from tests.guard.case import (
    BAD_URL,
    FETCHED,
    UNREACHABLE,
    Expected,
    asked,
    blocked,
    only_in_box,
    refusal,
    refused,
    sent,
)
from tests.guard.stage.site import SERVICE_PORTS

# What the system's own reading of addresses makes of these is nobody's promise; only that nothing
# arrives at a forbidden address.
LOOPBACK = [
    blocked("http://127.0.0.2:{port}/"),
    blocked("http://127.0.0.2:{port}/a.jpg?x=1#y"),
    blocked("http://127.2:{port}/"),
    blocked("http://127.0.2:{port}/"),
    blocked("http://2130706434:{port}/"),
    blocked("http://0x7f000002:{port}/"),
    blocked("http://0X7F000002:{port}/"),
    blocked("http://0x7f.0.0.2:{port}/"),
    blocked("http://0x7f.0x0.0x0.0x2:{port}/"),
    blocked("http://017700000002:{port}/"),
    blocked("http://0177.0.0.2:{port}/"),
    blocked("http://0177.0.0.02:{port}/"),
    blocked("http://00000177.0.0.2:{port}/"),
    blocked("http://127.000.000.002:{port}/"),
    blocked("http://127.0.0.2.:{port}/"),
    blocked("http://0x7f.2:{port}/"),
    blocked("http://127.0x2:{port}/"),
    blocked("http://[::1]:{port}/"),
    blocked("http://[0:0:0:0:0:0:0:1]:{port}/"),
    blocked("http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/"),
    blocked("http://[::]:{port}/"),
    blocked("http://0.0.0.0:{port}/"),
    blocked("http://0:{port}/"),
    blocked("http://0.1.2.3:{port}/"),
    blocked("http://127.255.255.255:{port}/"),
]

EMBEDDED = [
    blocked("http://[::ffff:127.0.0.2]:{port}/"),
    blocked("http://[::ffff:7f00:2]:{port}/"),
    blocked("http://[::FFFF:7F00:0002]:{port}/"),
    blocked("http://[0:0:0:0:0:ffff:7f00:2]:{port}/"),
    blocked("http://[::ffff:169.254.169.254]/latest/meta-data/"),
    blocked("http://[::ffff:10.0.0.1]/"),
    blocked("http://[::ffff:0:127.0.0.2]:{port}/"),
    blocked("http://[::127.0.0.2]:{port}/"),
    blocked("http://[::7f00:2]:{port}/"),
    blocked("http://[::8.8.8.8]/"),
    blocked("http://[64:ff9b::127.0.0.2]:{port}/"),
    blocked("http://[64:ff9b::7f00:2]:{port}/"),
    blocked("http://[64:ff9b::a00:1]/"),
    blocked("http://[64:ff9b::169.254.169.254]/"),
    blocked("http://[64:ff9b::100.64.0.1]/"),
    blocked("http://[64:ff9b:1::7f00:2]/"),
    blocked("http://[64:ff9b:1::8.8.8.8]/"),
    blocked("http://[64:ff9b:1:ffff:ffff:ffff:8.8.8.8]/"),
    blocked("http://[2002:7f00:2::]/"),
    blocked("http://[2002:a00:1::1]/"),
    blocked("http://[2002:c0a8:101::1]/"),
    blocked("http://[2002:808:808::1]/"),
    blocked("http://[2001:0:4136:e378:8000:63bf:80ff:fffd]/"),
    blocked("http://[2001::1]/"),
    blocked("http://[2001:0:7f00:2::]/"),
    blocked("http://[2606:4700::5efe:127.0.0.2]/"),
    blocked("http://[2606:4700::5efe:10.0.0.1]/"),
    blocked("http://[2606:4700::200:5efe:192.168.1.1]/"),
    blocked("http://[fe80::5efe:8.8.8.8]/"),
]

INSIDE = [
    blocked("http://10.0.0.1/"),
    blocked("http://10.255.255.255/"),
    blocked("http://012.0.0.1/"),
    blocked("http://0xa000001/"),
    blocked("http://167772161/"),
    blocked("http://172.16.0.1/"),
    blocked("http://172.31.255.254/"),
    blocked("http://192.168.0.1/"),
    blocked("http://192.168.1/"),
    blocked("http://0300.0250.0.1/"),
    blocked("http://100.64.0.1/"),
    blocked("http://100.127.255.255/"),
    blocked("http://100.100.100.200/latest/meta-data/"),
    blocked("http://169.254.169.254/latest/meta-data/"),
    blocked("http://169.254.0.1/"),
    blocked("http://2852039166/latest/meta-data/"),
    blocked("http://0xa9fea9fe/"),
    blocked("http://0251.0376.0251.0376/"),
    blocked("http://169.16689662/"),
    blocked("http://168.63.129.16/metadata/v1"),
    blocked("http://192.0.0.192/opc/v1/"),
    blocked("http://192.0.0.8/"),
    blocked("http://192.0.2.1/"),
    blocked("http://192.88.99.1/"),
    blocked("http://198.18.0.1/"),
    blocked("http://198.19.255.255/"),
    blocked("http://198.51.100.1/"),
    blocked("http://203.0.113.1/"),
    blocked("http://224.0.0.1/"),
    blocked("http://239.255.255.250/"),
    blocked("http://240.0.0.1/"),
    blocked("http://255.255.255.255/"),
    blocked("http://[fc00::1]/"),
    blocked("http://[fd00:ec2::254]/latest/meta-data/"),
    blocked("http://[fd20:ce::254]/"),
    blocked("http://[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]/"),
    blocked("http://[fec0::1]/"),
    blocked("http://[feff::1]/"),
    blocked("http://[fe80::1]/"),
    blocked("http://[febf::1]/"),
    blocked("http://[ff02::1]/"),
    blocked("http://[ff0e::1]/"),
    blocked("http://[100::1]/"),
    blocked("http://[100:0:0:1::1]/"),
    blocked("http://[2001:2::1]/"),
    blocked("http://[2001:10::1]/"),
    blocked("http://[2001:20::1]/"),
    blocked("http://[2001:1::1]/"),
    blocked("http://[2001:db8::1]/"),
    blocked("http://[3fff::1]/"),
    blocked("http://[5f00::1]/"),
    blocked("http://[4000::1]/"),
    blocked("http://[1::1]/"),
    blocked("http://[200::1]/"),
    blocked("http://[e000::1]/"),
]

ZONES = [
    refused("http://[fe80::1%25lo]/", "percent-encoded"),
    refused("http://[fe80::1%lo]/", "percent-encoded"),
    refused("http://[::1%25lo]:{port}/", "percent-encoded"),
    asked("http://[::1:{port}/", BAD_URL),
    asked("http://::1:{port}/", BAD_URL),
    asked("http://[127.0.0.2]:{port}/", BAD_URL),
    asked("http://[::g]/", BAD_URL),
    asked("http://[1:2:3:4:5:6:7:8:9]/", BAD_URL),
    asked("http://[::ffff:256.0.0.1]/", refusal("url_invalid", "host_unreachable")),
]

# Only a box has these. They keep the others honest: what is refused there is refused for its
# address, as the site does answer everywhere.
PUBLIC = [
    asked(url, FETCHED)
    for url in (
        "http://8.8.8.8/",
        "http://8.8.8.8:80/",
        "http://8.8.8.8:/",
        "http://8.8.8.8:0080/",
        "http://8.8.8.8:{port}/",
        "http://134744072/",
        "http://0x08080808/",
        "http://010.8.8.8/",
        "http://9.255.255.255/",
        "http://11.0.0.1/",
        "http://100.63.255.255/",
        "http://100.128.0.1/",
        "http://126.255.255.255/",
        "http://128.0.0.1/",
        "http://168.63.129.17/",
        "http://169.253.255.255/",
        "http://172.15.255.255/",
        "http://172.32.0.1/",
        "http://192.0.1.1/",
        "http://192.167.255.255/",
        "http://192.169.0.1/",
        "http://198.17.255.255/",
        "http://198.20.0.1/",
        "http://223.255.255.255/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::ffff:808:808]:{port}/",
        "http://[64:ff9b::8.8.8.8]/",
        "http://[2606:4700::1111]/",
        "http://[2001:4860:4860::8888]:{port}/",
        "http://[2a00:1450:4001:80b::200e]/",
        "http://[2606:4700::5efe:8.8.8.8]/",
        "http://[3ffe::1]/",
        "http://[2001:200::1]/",
    )
]

# The stage allows 10.20.0.0/16, fd12:3456::/32 and cdn.internal, and nothing wider.
ALLOWED = [
    asked("http://10.20.0.1/", FETCHED),
    asked("http://10.20.255.255:{port}/", FETCHED),
    asked("http://[::ffff:10.20.0.1]/", FETCHED),
    asked("http://[fd12:3456::1]/", FETCHED),
    asked("http://[fd12:3456:ffff::1]:{port}/", FETCHED),
    blocked("http://10.19.255.255/"),
    blocked("http://10.21.0.0/"),
    blocked("http://[fd12:3457::1]/"),
    blocked("http://[fd12:3455:ffff::1]/"),
    blocked("http://[::10.20.0.1]/"),
    blocked("http://[2002:a14:1::1]/"),
    blocked("http://[64:ff9b:1::10.20.0.1]/"),
    blocked("http://10.20.0.1:22/"),
    blocked("http://10.20.0.1:6379/"),
    blocked("http://[fd12:3456::1]:22/"),
]

PORTS = [blocked(f"http://8.8.8.8:{port}/") for port in SERVICE_PORTS]

# Whichever way a URL comes in, the same guard stands there.
METADATA = "http://169.254.169.254/latest/meta-data/"
WAYS = [
    *(
        sent(route, {"url": METADATA}, UNREACHABLE)
        for route in (
            "post_image_to_index",
            "search_simmilar_images",
            "search_similar_images",
            "run_object_detection",
        )
    ),
    sent("search_simmilar_images", {"query": [{"text": "a"}, {"url": METADATA}]}, UNREACHABLE),
    sent("search_simmilar_images", {"url": METADATA, "metadata": "a"}, UNREACHABLE),
    sent("search_simmilar_images", {"url": METADATA, "metadata": {"s": "A"}}, UNREACHABLE),
    sent(
        "post_images_to_index",
        {"images": [{"url": METADATA}]},
        Expected(
            200,
            holds={
                "results": [
                    {
                        "url": METADATA,
                        "message": UNREACHABLE.says,
                        "code": UNREACHABLE.codes[0],
                    }
                ]
            },
        ),
    ),
]

CASES = [*LOOPBACK, *EMBEDDED, *INSIDE, *ZONES, *WAYS, *only_in_box([*PUBLIC, *ALLOWED, *PORTS])]
