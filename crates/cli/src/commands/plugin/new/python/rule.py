"""Payments go to known shops, and large ones to a person first.

config:
  shops: [shop.example.com]
  approve_above_usd: 50
  roles: [finance]          # who may approve; without it, anybody who may approve

This module knows nothing of the component around it, so that `python3 -m unittest` tests it.
"""

from dataclasses import dataclass

MICRO_PER_USD = 1_000_000


class Deny(Exception):
    """Refuses the request, with its text as the reason."""


@dataclass
class StepUp:
    """A person has to approve."""

    roles: list[str]
    reason: str


@dataclass
class Config:
    shops: list[str]
    approve_above_usd: int
    roles: list[str]

    @classmethod
    def read(cls, members: object) -> "Config":
        known = {"shops", "approve_above_usd", "roles"}
        if not isinstance(members, dict) or not members.keys() <= known:
            raise Deny("the plugin's configuration does not fit")
        config = cls(members.get("shops"), members.get("approve_above_usd"), members.get("roles", []))
        if not (is_texts(config.shops) and is_texts(config.roles) and type(config.approve_above_usd) is int):
            raise Deny("the plugin's configuration does not fit")
        return config


def judge(config: Config, shop: str | None, amount_micro_usd: int | None) -> StepUp | None:
    """None: nothing against it."""
    if shop is None:
        raise Deny("the payment names no shop")
    if shop not in config.shops:
        raise Deny(f"{shop} is no known shop")
    if amount_micro_usd is None:
        raise Deny("the payment names no amount")
    if amount_micro_usd > config.approve_above_usd * MICRO_PER_USD:
        return StepUp(config.roles, f"more than {config.approve_above_usd} USD")
    return None


def is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
