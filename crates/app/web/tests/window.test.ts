import { describe, expect, test } from 'vitest';
import { anchorOf, Layout, scrollFor } from '../src/lib/window';

const keys = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `k${from + i}`);
const layout = (list: string[], height: (key: string) => number = () => 50) => new Layout(list, (i) => height(list[i]!));

describe('the windowed list', () => {
  test('shows exactly the rows that touch the viewport and what is around it', () => {
    const rows = layout(keys(0, 100));
    expect(rows.range(1_000, 500, 0)).toEqual({ start: 20, end: 31 });
    expect(rows.range(1_000, 500, 100)).toEqual({ start: 18, end: 33 });
    expect(rows.range(0, 500, 100)).toEqual({ start: 0, end: 13 });
    expect(rows.range(4_600, 500, 1_000).end).toBe(100);
    expect(layout([]).range(0, 500, 100)).toEqual({ start: 0, end: 0 });
  });

  test('knows the height of all, whatever each has', () => {
    const rows = layout(['a', 'b', 'c'], (key) => ({ a: 10, b: 200, c: 30 })[key]!);
    expect(rows.height).toBe(240);
    expect([0, 9, 10, 209, 210, 999].map((y) => rows.rowAt(y))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('keeps what the reader looks at in place when rows come before it', () => {
    const before = layout(keys(100, 200));
    const anchor = anchorOf(before, 1_020, 500);
    const after = layout(keys(0, 200));
    expect(scrollFor(after, anchor)).toBe(1_020 + 100 * 50);
  });

  test('keeps it in place when rows before it turn out taller', () => {
    const anchor = anchorOf(layout(keys(0, 50)), 1_000, 500);
    const taller = layout(keys(0, 50), (key) => (Number(key.slice(1)) < 20 ? 80 : 50));
    expect(scrollFor(taller, anchor)).toBe(1_600);
  });

  test('holds on to the next row in view when the first is gone', () => {
    const anchor = anchorOf(layout(keys(0, 50)), 1_000, 500);
    const without = layout(keys(0, 50).filter((key) => key !== 'k20'));
    expect(scrollFor(without, anchor)).toBe(950);
    expect(scrollFor(layout(['x']), anchor)).toBeNull();
  });

  test('never loses or doubles a row while the window moves over 100,000', () => {
    // Random moves of a window of 400 rows with random heights: the row at the top of the screen stays there.
    let seed = 7;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    const height = (key: string) => 40 + ((Number(key.slice(1)) * 37) % 160);
    let start = 50_000;
    let rows = layout(keys(start, start + 400), height);
    let scrollTop = 9_000;
    for (let i = 0; i < 500; i++) {
      scrollTop = Math.max(0, Math.min(rows.height - 600, scrollTop + (random() - 0.5) * 4_000));
      const top = rows.keys[rows.rowAt(scrollTop)]!;
      const offset = rows.top(rows.indexOf(top)) - scrollTop;
      const anchor = anchorOf(rows, scrollTop, 600);
      start = Math.max(0, Math.min(99_600, Number(top.slice(1)) - Math.floor(random() * 380)));
      rows = layout(keys(start, start + 400), height);
      const next = scrollFor(rows, anchor);
      expect(next, 'seed 7').not.toBeNull();
      scrollTop = next!;
      expect(rows.top(rows.indexOf(top)) - scrollTop).toBeCloseTo(offset, 6);
    }
  });
});
