"""The component around rule.py: the world of wit/world.wit.

`wit_world` is there when the component is built; `componentize-py --wit-path wit bindings .` writes it for editors.
"""

import json

from wit_world import exports
from wit_world.imports.types import (
    Description,
    Facts,
    Obligation,
    Request,
    Verdict,
    Verdict_Abstain,
    Verdict_Deny,
    Verdict_StepUp,
)

import rule


class Plugin(exports.Plugin):
    def describe(self) -> Description:
        return Description("@NAME@", "0.1.0", "Payments go to known shops, and large ones to a person first")

    def evaluate(self, request: Request, facts: Facts) -> Verdict:
        try:
            config = rule.Config.read(json.loads(facts.config))
            step_up = rule.judge(config, facts.target_domain, facts.amount_micro_usd)
        except rule.Deny as refusal:
            return Verdict_Deny(str(refusal)[:64])
        if step_up is not None:
            return Verdict_StepUp(Obligation(step_up.roles, step_up.reason))
        return Verdict_Abstain()
