import { describe, expect, test } from 'vitest';
import { applyPatch, patchRows } from '../src/lib/patch';

const row = (key: string, value = 0) => ({ key, value });

describe('a patch', () => {
  test('replaces fields and leaves the others and the old state alone', () => {
    const before = { typing: false, name: 'A', rows: [] };
    const after = applyPatch(before, { typing: true });
    expect(after).toEqual({ typing: true, name: 'A', rows: [] });
    expect(before.typing).toBe(false);
  });

  test('replaces a field that is an object but no patch of rows', () => {
    expect(applyPatch({ timer: { mode: 'off' } }, { timer: { mode: 'after_read', seconds: 5 } })).toEqual({ timer: { mode: 'after_read', seconds: 5 } });
    expect(applyPatch({ editing: { id: 'a' } as object | null }, { editing: null })).toEqual({ editing: null });
  });

  test('changes a row in place, and unchanged rows stay the same objects', () => {
    const a = row('a');
    const b = row('b');
    const after = applyPatch({ rows: [a, b] }, { rows: { upsert: [row('b', 7)] } });
    expect(after.rows).toEqual([row('a'), row('b', 7)]);
    expect(after.rows[0]).toBe(a);
  });

  test('orders, adds and drops rows by the order', () => {
    const after = patchRows([row('a'), row('b'), row('c')], { upsert: [row('d')], order: ['d', 'c', 'a'] });
    expect(after.map(({ key }) => key)).toEqual(['d', 'c', 'a']);
  });

  test('leaves out keys nothing is known about, and never shows one twice', () => {
    expect(patchRows([row('a')], { order: ['x', 'a', 'a'] }).map(({ key }) => key)).toEqual(['a']);
  });

  test('empties a list', () => {
    expect(patchRows([row('a')], { order: [] })).toEqual([]);
  });
});
