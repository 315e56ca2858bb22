"""Which currencies a payment may be in, and how its amount may be written.

This module knows nothing of the component around it, so that `python3 -m unittest` tests it.
"""

import json
import re
from dataclasses import dataclass

# How a sum may be written: no sign, no exponent, no leading zeros.
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]+)?", re.ASCII)


class Deny(Exception):
    """Refuses the request, with its text as the reason."""


@dataclass
class Config:
    """The decimals that an amount in a currency has, such as {"EUR": 2, "JPY": 0}."""

    currencies: dict[str, int]

    @classmethod
    def read(cls, text: str) -> "Config":
        members = json.loads(text)
        currencies = members.get("currencies") if isinstance(members, dict) and len(members) == 1 else None
        is_fit = isinstance(currencies, dict) and all(type(count) is int for count in currencies.values())
        if not is_fit:
            raise Deny("the plugin's configuration does not fit")
        return cls(currencies)


def check(config: Config, body: bytes) -> None:
    """Raises Deny unless the body is {"amount": "12.50", "currency": "EUR", …} with a listed currency."""
    try:
        payment = json.loads(body, object_pairs_hook=once)
    except ValueError:
        raise Deny("the body is not JSON") from None
    if not isinstance(payment, dict):
        raise Deny("the body is no object")
    currency, amount = payment.get("currency"), payment.get("amount")
    if not isinstance(currency, str) or currency not in config.currencies:
        raise Deny("the currency is not one of " + ", ".join(sorted(config.currencies)))
    written = AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    if written is None:
        raise Deny("the amount is not a text such as 12.50")
    decimals = len(written[2] or ".") - 1
    if decimals > config.currencies[currency]:
        raise Deny(f"an amount in {currency} has at most {config.currencies[currency]} decimals")


def once(members: list[tuple[str, object]]) -> dict[str, object]:
    """An object in which no member stands twice: two readers might see two values."""
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        raise Deny("a member of the body stands twice")
    return dict(members)
