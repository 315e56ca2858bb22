import assert from 'node:assert/strict';
import test from 'node:test';

import { plugin } from './plugin.js';

const config = JSON.stringify({ shops: ['shop.example.com'], approve_above_usd: 50 });

test('large payments wait for a person', () => {
  for (const [amountMicroUsd, tag] of [[50_000_000n, 'abstain'], [50_000_001n, 'step-up']]) {
    const facts = { config, targetDomain: 'shop.example.com', amountMicroUsd };
    assert.equal(plugin.evaluate({}, facts).tag, tag);
  }
});
