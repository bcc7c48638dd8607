import { describe, expect, test } from 'vitest';
import { begunAt, findMentions, whoFits, withIds, withNames } from '../src/lib/mentions';
import { piecesOf } from '../src/lib/text';

const BOB = `05${'b'.repeat(64)}`;
const ANN = `05${'a'.repeat(64)}`;
const people = [
  { id: BOB, name: 'Bob' },
  { id: ANN, name: 'Bob (work)' },
];
const nameOf = (id: string) => people.find((one) => one.id === id)?.name ?? null;

describe('mentions', () => {
  test('are an @ and an account id, whole', () => {
    expect(findMentions(`hi @${BOB.toUpperCase().replace('05B', '05B')}, ok`)).toEqual([{ at: 3, length: 67, id: BOB }]);
    expect(findMentions(`@${BOB}0 @${BOB.slice(0, 60)} ${BOB}`)).toEqual([]);
  });

  test('are names on the screen and ids in what is sent, both ways', () => {
    const sent = `@${BOB}: ask @${ANN}, not me@Bob or @Bobby`;
    const shown = '@Bob: ask @Bob (work), not me@Bob or @Bobby';
    expect(withNames(sent, nameOf)).toBe(shown);
    expect(withIds(shown, people)).toBe(sent);
  });

  test('of somebody unknown stay what they are', () => {
    const unknown = `@05${'c'.repeat(64)}`;
    expect(withNames(unknown, nameOf)).toBe(unknown);
    expect(withIds('@Carol', people)).toBe('@Carol');
    expect(withIds('@', [{ id: BOB, name: '' }])).toBe('@');
  });

  test('names with signs are no patterns', () => {
    expect(withIds('@a.c @abc', [{ id: BOB, name: 'a.c' }])).toBe(`@${BOB} @abc`);
    expect(withIds('@$& x', [{ id: BOB, name: '$&' }])).toBe(`@${BOB} x`);
    for (const sign of '.*+?^${}()|[]\\/-,:;!#%&\'"`~<>=@_ \n') expect(withIds(`@a${sign}b x`, [{ id: BOB, name: `a${sign}b` }])).toBe(`@${BOB} x`);
  });

  test('are offered while one is begun, at the caret', () => {
    expect(begunAt('hello @bo', 9)).toBe('bo');
    expect(begunAt('@', 1)).toBe('');
    expect(begunAt('hello @bo there', 9)).toBe('bo');
    for (const [text, caret] of [['mail me@bo', 10], ['hello @bo ', 10], ['hello', 5], ['@@bo', 4]] as const) expect(begunAt(text, caret)).toBeNull();
    expect(whoFits('WO', [{ id: ANN, name: 'Bob work' }, { id: BOB, name: 'Bob' }])).toEqual([{ id: ANN, name: 'Bob work' }]);
  });

  test('are pieces of their own in a text, and hide nothing', () => {
    expect(piecesOf(`see @${BOB}\u202e!`)).toEqual([
      { kind: 'text', text: 'see ', marked: false },
      { kind: 'mention', id: BOB, marked: false },
      { kind: 'hidden', code: 'U+202E' },
      { kind: 'text', text: '!', marked: false },
    ]);
  });
});
