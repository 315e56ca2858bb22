// A policy plugin: payments go to known shops, and large ones to a person first.
//
//   config:
//     shops: [shop.example.com]
//     approve_above_usd: 50
//     roles: [finance]          # who may approve; without it, anybody who may approve
//
// An exception refuses the request too, but tells nobody why: `evaluate` makes a reason of it.

const MICRO_PER_USD = 1_000_000n;

const deny = (reason) => ({ tag: 'deny', val: reason });

function readConfig(text) {
  const { shops, approve_above_usd: approveAboveUsd, roles = [], ...unknown } = JSON.parse(text) ?? {};
  const isTexts = (list) => Array.isArray(list) && list.every((item) => typeof item === 'string');
  const isFit = isTexts(shops) && isTexts(roles) && Number.isSafeInteger(approveAboveUsd) && approveAboveUsd >= 0;
  if (!isFit || Object.keys(unknown).length > 0) throw new Error("the plugin's configuration does not fit");
  return { shops, approveAboveUsd, roles };
}

function judge(facts) {
  const { shops, approveAboveUsd, roles } = readConfig(facts.config);
  const { targetDomain: shop, amountMicroUsd: amount } = facts;
  if (shop === undefined) return deny('the payment names no shop');
  if (!shops.includes(shop)) return deny(`${shop} is no known shop`);
  if (amount === undefined) return deny('the payment names no amount');
  if (amount > BigInt(approveAboveUsd) * MICRO_PER_USD) {
    return { tag: 'step-up', val: { roles, reason: `more than ${approveAboveUsd} USD` } };
  }
  return { tag: 'abstain' };
}

// The interface of wit/deps/passgate-policy/plugin.wit. `request.body` is a Uint8Array.
export const plugin = {
  describe() {
    return {
      name: '@NAME@',
      version: '0.1.0',
      summary: 'Payments go to known shops, and large ones to a person first',
    };
  },

  evaluate(request, facts) {
    try {
      return judge(facts);
    } catch (error) {
      return deny(error.message.slice(0, 80));
    }
  },
};
