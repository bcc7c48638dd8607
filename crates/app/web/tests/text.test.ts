import { describe, expect, test } from 'vitest';
import { excerpt } from '../src/lib/excerpt';
import { countCharacters, foldAt, isAccountId, isJumbo, marksInUnits, oneLine, piecesOf, shortId, type Piece } from '../src/lib/text';

const C = (...codes: number[]) => String.fromCodePoint(...codes);
const plain = (pieces: Piece[]) => pieces.map((piece) => (piece.kind === 'text' ? piece.text : piece.kind === 'link' ? `[${piece.link.href}]` : piece.kind === 'mention' ? `@${piece.id}` : `<${piece.code}>`)).join('');

describe('a text', () => {
  test('that looks like HTML stays text', () => {
    const text = '<img src=x onerror="alert(1)"><script>alert(1)</script>';
    expect(piecesOf(text)).toEqual([{ kind: 'text', text, marked: false }]);
  });

  test('shows what would reorder or hide it, by number', () => {
    expect(plain(piecesOf(`a${C(0x202e)}b${C(0)}c${C(0x200b)}d${C(0x2066)}e`))).toBe('a<U+202E>b<U+0000>c<U+200B>d<U+2066>e');
  });

  test('keeps what scripts and emoji need', () => {
    const family = '👨‍👩‍👧‍👦';
    const persian = `می${C(0x200c)}خواهم`;
    const marks = `a${C(0x200f)}b${C(0x200e)}c${C(0x61c)}`;
    for (const text of [family, persian, marks, 'a\tb\nc']) expect(plain(piecesOf(text))).toBe(text);
  });

  test('is cut into links and the rest without losing a character', () => {
    const text = 'a https://example.org/x, b\nhttp://b.example c';
    const pieces = piecesOf(text);
    expect(plain(pieces)).toBe('a [https://example.org/x], b\n[http://b.example/] c');
    expect(pieces.map((piece) => (piece.kind === 'link' ? piece.link.shown : piece.kind === 'text' ? piece.text : '')).join('')).toBe(text);
  });

  test('is marked where it was found, also across a link and beyond ASCII', () => {
    const text = 'schöne Fähre 🚢 ferry';
    const bytes = new TextEncoder().encode(text.slice(0, text.indexOf('ferry'))).length;
    const marks = marksInUnits(text, [[bytes, bytes + 5]]);
    const marked = piecesOf(text, marks).filter((piece) => piece.kind === 'text' && piece.marked);
    expect(marked).toEqual([{ kind: 'text', text: 'ferry', marked: true }]);
    expect(piecesOf('https://example.org/ferry', [[20, 25]])[0]).toMatchObject({ kind: 'link', marked: true });
  });

  test('marks inside a character, beyond the end or turned around are dropped', () => {
    expect(marksInUnits('ö', [[0, 1], [1, 2], [0, 99], [2, 0]])).toEqual([]);
  });

  test('that is a name is one line without hidden characters, and ends', () => {
    expect(oneLine(` A\n\n${C(0x202e)}B${C(7)}\t C `)).toBe('A B C');
    expect(oneLine('x'.repeat(500), 10)).toBe('xxxxxxxxx…');
    expect(oneLine(C(0x200b, 0x202e))).toBe('');
  });

  test('of a few emoji is large, and of anything else is not', () => {
    for (const text of ['👍', '❤️', '🇫🇮🇫🇮', '👨‍👩‍👧‍👦 👋🏽', '1️⃣']) expect(isJumbo(text), text).toBe(true);
    for (const text of ['', '1', 'ok', '👍 ok', '👍👍👍👍', '#']) expect(isJumbo(text), text).toBe(false);
  });

  test('is counted in code points, as the protocol does', () => {
    expect(countCharacters('aö🚢')).toBe(3);
  });

  test('that is long is folded, never through a character', () => {
    expect(foldAt('short')).toBeNull();
    for (const line of ['\n', '\r']) expect(foldAt(line.repeat(100))).toBe(27);
    const ships = '🚢'.repeat(2_000);
    const cut = foldAt(ships)!;
    expect([...ships.slice(0, cut)].every((character) => character === '🚢')).toBe(true);
  });

  test('of a hit is shown around its first mark', () => {
    const text = `${'word '.repeat(60)}ferry${' after'.repeat(60)}`;
    const cut = excerpt(text, [[300, 305]]);
    const [begin, end] = cut.marks[0]!;
    expect(cut.text.slice(begin, end)).toBe('ferry');
    expect(cut.text.startsWith('…')).toBe(true);
    expect(cut.text.length).toBeLessThan(230);
  });
});

describe('an account id', () => {
  test('is 05 and 64 hex digits', () => {
    expect(isAccountId(`05${'ab'.repeat(32)}`)).toBe(true);
    for (const id of ['', '05', `15${'ab'.repeat(32)}`, `05${'ab'.repeat(31)}`, `05${'zz'.repeat(32)}`]) expect(isAccountId(id)).toBe(false);
  });

  test('is shortened to its ends', () => {
    expect(shortId(`05abcd${'0'.repeat(56)}1234`)).toBe('05abcd…1234');
  });
});
