// The rule by itself: it knows nothing of the component around it, so that `npm test` tests it.

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const MICRO_PER_USD = 1_000_000n;
const MS_PER_DAY = 86_400_000n;

/** Refuses the request, with its text as the reason. */
export class Deny extends Error {}

/** Reads the plugin's configuration. @throws {Deny} when it does not fit */
export function readConfig(text) {
  const members = JSON.parse(text);
  const isAmount = (value) => Number.isSafeInteger(value) && value >= 0;
  const isFit =
    members !== null &&
    typeof members === 'object' &&
    Object.entries(members).every(([name, value]) => [...DAYS, 'other_days'].includes(name) && isAmount(value)) &&
    'other_days' in members;
  if (!isFit) throw new Deny("the plugin's configuration does not fit");
  return members;
}

/** The most for the day of `nowMs`, in whole US dollars, and the day's name. */
export function capOf(config, nowMs) {
  // 1970-01-01 was a Thursday.
  const day = DAYS[Number((nowMs / MS_PER_DAY + 4n) % 7n)];
  return { day, usd: config[day] ?? config.other_days };
}

/** @throws {Deny} when the amount is above the day's, or there is none */
export function check(config, nowMs, amountMicroUsd) {
  if (amountMicroUsd === undefined) throw new Deny('the request names no amount');
  const { day, usd } = capOf(config, nowMs);
  if (amountMicroUsd > BigInt(usd) * MICRO_PER_USD) throw new Deny(`more than ${usd} USD on a ${day}`);
}
