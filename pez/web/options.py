"""What ``pez serve`` takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pez.errors import PezError

LEAST = 8  # characters of a password
PORTS = range(1, 1 << 16)


@dataclass(frozen=True)
class ServeOptions:
    """Where the page is served, who may see it, and which models it offers beside the shipped."""

    host: str = "127.0.0.1"
    port: int = 0  # 0 is the first free one from 7860 on
    password: str = ""
    model: tuple[str, ...] = ()
    generator: tuple[str, ...] = ()
    control_model: str = ""
    device: str = "auto"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Raise PezError where strangers could see the page, and for impossible values."""
        if self.port and self.port not in PORTS:
            raise PezError(f"--port must be from 1 to {PORTS[-1]}, not {self.port}.")
        if self.password and len(self.password) < LEAST:
            raise PezError(f"--password is too short; give {LEAST} characters or more.")
        if not self.private and not self.password:
            raise PezError(
                f"--host {self.host} lets others on the network see the page; "
                "give a --password too, or omit --host."
            )

    @property
    def private(self) -> bool:
        """Whether only this machine can reach the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:  # a name
            return False
