// `weekday-amounts`: how much may be spent in one request depends on the day of the week, in UTC.
//
//   - name: weekday-amounts
//     file: plugins/weekday-amounts.wasm
//     sha256: "sha256:…"                   # `passgate plugin inspect` shows it
//     actions: ["payments:*"]
//     grants: [log]
//     config: { saturday: 0, sunday: 0, friday: 100, other_days: 1000 }   # whole US dollars
//
// What it refuses stands in the gate's log too. A JavaScript engine comes with the component; there is
// no Node.js in it. `passgate plugin test examples/plugins/weekday-amounts` builds it and runs its cases.

import { write } from 'passgate:policy/log@0.1.0';

import { Deny, check, readConfig } from './rule.js';

export const plugin = {
  describe() {
    return { name: 'weekday-amounts', version: '0.1.0', summary: 'The most for one request, by day of the week' };
  },

  evaluate(request, facts) {
    try {
      check(readConfig(facts.config), facts.nowMs, facts.amountMicroUsd);
      return { tag: 'abstain' };
    } catch (error) {
      // What is not foreseen ends the call, and the gate refuses the request.
      if (!(error instanceof Deny)) throw error;
      write('warn', `${facts.agent.id}: ${error.message}`);
      return { tag: 'deny', val: error.message };
    }
  },
};
