"""`currencies`: payments in listed currencies, with amounts that have one reading.

- name: currencies
  file: plugins/currencies.wasm
  sha256: "sha256:…"                   # `passgate plugin inspect` shows it
  actions: ["payments:*"]
  config: { currencies: { EUR: 2, JPY: 0 } }

`passgate plugin test examples/plugins/currencies` builds it and runs its cases. `wit_world` is there when the component
is built; `componentize-py --wit-path wit bindings .` writes it for editors.
"""

from wit_world import exports
from wit_world.imports.types import Description, Facts, Request, Verdict, Verdict_Abstain, Verdict_Deny

import rule


class Plugin(exports.Plugin):
    def describe(self) -> Description:
        return Description("currencies", "0.1.0", "Payments in listed currencies, with amounts that have one reading")

    def evaluate(self, request: Request, facts: Facts) -> Verdict:
        try:
            rule.check(rule.Config.read(facts.config), request.body)
        except rule.Deny as refusal:
            return Verdict_Deny(str(refusal)[:64])
        return Verdict_Abstain()
