"""A process listens where its settings say, or names the setting that is wrong."""

from __future__ import annotations

import pytest

from alerting.cli.common import listen
from alerting.errors import BadInput


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listen_binds_an_address_of_either_family(host: str) -> None:
    with listen(host, 0, "ALERTING_PORT") as listener:
        assert listener.getsockname()[0] == host
        assert not listener.getblocking()


def test_listen_names_the_setting_of_a_port_in_use() -> None:
    with listen("127.0.0.1", 0, "ALERTING_PORT") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"Port {port} .* set ALERTING_PORT to another port"):
            listen("127.0.0.1", port, "ALERTING_PORT")
