'use strict';
const assert = require('assert');
const memjs = require('memjs');

async function main() {
  const c = memjs.Client.create(process.argv[2] + ':' + process.argv[3], {timeout: 20, retries: 1});
  assert.strictEqual(await c.set('a', '1', {expires: 100}), true);
  assert.strictEqual((await c.get('a')).value.toString(), '1');
  assert.strictEqual((await c.get('absent')).value, null);
  assert.strictEqual(await c.add('a', 'x', {}), false);
  assert.strictEqual(await c.replace('absent', 'x', {}), false);
  assert.strictEqual(await c.replace('a', '2', {}), true);
  const first = await c.increment('n', 40, {initial: 2, expires: 100});
  assert.deepStrictEqual([first.success, Number(first.value)], [true, 2]);
  assert.strictEqual(Number((await c.increment('n', 40, {})).value), 42);
  assert.strictEqual(Number((await c.decrement('n', 2, {})).value), 40);
  assert.strictEqual(await c.append('a', 'b'), true);
  assert.strictEqual(await c.prepend('a', 'c'), true);
  assert.strictEqual((await c.get('a')).value.toString(), '2bc'); // memjs sends the opcode of append
  assert.strictEqual(await c.touch('a', 1000), true);
  const large = Buffer.alloc(1000000, 'xyz');
  assert.strictEqual(await c.set('large', large, {}), true);
  assert.ok(large.equals((await c.get('large')).value));
  await Promise.all(Array.from({length: 200}, (_, i) => c.set('k' + i, 'v' + i, {})));
  const all = await Promise.all(Array.from({length: 200}, (_, i) => c.get('k' + i)));
  all.forEach((r, i) => assert.strictEqual(r.value.toString(), 'v' + i));
  assert.strictEqual(await c.delete('a'), true);
  assert.strictEqual(await c.delete('a'), false);
  await new Promise((ok, no) => c.flush((err) => err ? no(err) : ok()));
  assert.strictEqual((await c.get('k1')).value, null);
  c.close();
}

main().catch((err) => { console.error(err); process.exit(1); });
