import assert from 'node:assert/strict';
import test from 'node:test';

import { Deny, capOf, check, readConfig } from './rule.js';

const config = readConfig('{"saturday": 0, "friday": 100, "other_days": 1000}');
const at = (time) => BigInt(Date.parse(time));

test('days are those of UTC', () => {
  for (const [time, day, usd] of [
    ['1970-01-01T00:00:00Z', 'thursday', 1000],
    ['2026-01-02T23:59:59Z', 'friday', 100],
    ['2026-01-03T00:00:00Z', 'saturday', 0],
    ['2024-02-29T12:00:00Z', 'thursday', 1000],
  ]) {
    assert.deepEqual(capOf(config, at(time)), { day, usd });
  }
});

test('amounts above the cap are refused, also by a millionth', () => {
  const friday = at('2026-01-02T12:00:00Z');
  check(config, friday, 100_000_000n);
  for (const amount of [100_000_001n, undefined]) assert.throws(() => check(config, friday, amount), Deny);
});

test('a configuration that makes no sense is refused', () => {
  for (const text of ['null', '[]', '{}', '{"other_days": -1}', '{"other_days": 1.5}', '{"other_days": 1, "funday": 1}']) {
    assert.throws(() => readConfig(text), Deny, text);
  }
});
