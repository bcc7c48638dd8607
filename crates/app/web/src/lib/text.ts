/**
 * Makes texts of strangers fit to be shown: as text, in full, and without power over what stands beside them.
 *
 * Nothing here makes HTML. A text becomes pieces, and each piece becomes a text node.
 */

import { findLinks, type Link } from './links';
import { findMentions } from './mentions';

export type Piece =
  | { kind: 'text'; text: string; marked: boolean }
  | { kind: 'link'; link: Link; marked: boolean }
  /** Somebody is mentioned, by their account id. */
  | { kind: 'mention'; id: string; marked: boolean }
  /** A character that cannot be seen but does something, by its number. */
  | { kind: 'hidden'; code: string };

/**
 * Characters that hide or reorder text: controls (but not tab and newline), bidi embeddings, overrides and isolates,
 * line and paragraph separators, zero-width space, word joiner and the invisible operators. The marks LRM, RLM and ALM
 * and the joiners ZWJ and ZWNJ stay: scripts and emoji need them, and a `bdi` keeps the marks inside.
 */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** How a hidden character is named: `U+202E`. */
export function codeOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** A name, file name or one-line text: hidden characters gone, white space single, never endless. */
export function oneLine(text: string, longest = 200): string {
  const clean = text.replace(/\s+/gu, ' ').replace(HIDDEN, '').trim();
  const characters = Array.from(clean);
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : clean;
}

function plainPieces(text: string, marked: boolean): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const mention of findMentions(text)) {
    pieces.push(...visiblePieces(text.slice(at, mention.at), marked), { kind: 'mention', id: mention.id, marked });
    at = mention.at + mention.length;
  }
  return [...pieces, ...visiblePieces(text.slice(at), marked)];
}

function visiblePieces(text: string, marked: boolean): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) pieces.push({ kind: 'text', text: text.slice(from, match.index), marked });
    pieces.push({ kind: 'hidden', code: codeOf(match[0]) });
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push({ kind: 'text', text: text.slice(from), marked });
  return pieces;
}

/** The pieces of a text. `marks` are places to highlight, in UTF-16 units, in order. */
export function piecesOf(text: string, marks: readonly [number, number][] = []): Piece[] {
  const normal = text.replace(/\r\n?/gu, '\n');
  // A mark was counted in the text as it came; only texts without carriage returns can be marked in place.
  const usable = normal.length === text.length ? marks : [];
  const links = findLinks(normal);
  const isMarked = (from: number, to: number) => usable.some(([begin, end]) => begin < to && end > from);
  const pieces: Piece[] = [];
  const addPlain = (from: number, to: number) => {
    let at = from;
    for (const [begin, end] of usable) {
      const b = Math.max(begin, at);
      const e = Math.min(end, to);
      if (b >= e) continue;
      if (b > at) pieces.push(...plainPieces(normal.slice(at, b), false));
      pieces.push(...plainPieces(normal.slice(b, e), true));
      at = e;
    }
    if (at < to) pieces.push(...plainPieces(normal.slice(at, to), false));
  };
  let at = 0;
  for (const { at: begin, link } of links) {
    const end = begin + link.shown.length;
    addPlain(at, begin);
    pieces.push({ kind: 'link', link, marked: isMarked(begin, end) });
    at = end;
  }
  addPlain(at, normal.length);
  return pieces;
}

/** Places in bytes of UTF-8 as places in UTF-16 units. Places inside a character or beyond the end are dropped. */
export function marksInUnits(text: string, marks: readonly [number, number][]): [number, number][] {
  if (marks.length === 0) return [];
  const units = new Map<number, number>();
  let bytes = 0;
  let unit = 0;
  units.set(0, 0);
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    unit += character.length;
    units.set(bytes, unit);
  }
  const result: [number, number][] = [];
  for (const [begin, end] of marks) {
    const b = units.get(begin);
    const e = units.get(end);
    if (b !== undefined && e !== undefined && b < e) result.push([b, e]);
  }
  return result;
}

const segmenter = typeof Intl.Segmenter === 'function' ? new Intl.Segmenter(undefined, { granularity: 'grapheme' }) : null;

/** The first `count` characters as people see them. */
export function firstGraphemes(text: string, count: number): string[] {
  if (!segmenter) return Array.from(text).slice(0, count);
  const result: string[] = [];
  for (const { segment } of segmenter.segment(text)) {
    result.push(segment);
    if (result.length >= count) break;
  }
  return result;
}

const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\ufe0f?\u20e3)/u;

/** A text of one to three emoji and nothing else is shown large. */
export function isJumbo(text: string): boolean {
  const solid = text.replace(/\s+/gu, '');
  if (solid.length === 0 || solid.length > 48) return false;
  const graphemes = firstGraphemes(solid, 4);
  return graphemes.length <= 3 && graphemes.every((grapheme) => EMOJI.test(grapheme));
}

/** Code points, as the protocol counts them. */
export function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

const MOST_SHOWN = 1_400;
const MOST_LINES = 28;

/** Where to cut a long text that is not opened yet; `null` if it may be shown whole. */
export function foldAt(text: string): number | null {
  let lines = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Each is a line of its own once it is shown.
    if ((code === 10 || code === 13) && ++lines >= MOST_LINES) return i;
    if (i >= MOST_SHOWN) {
      // Never through a pair of surrogates; better after a word.
      const space = text.lastIndexOf(' ', i);
      const cut = space > MOST_SHOWN - 120 ? space : i;
      return /[\udc00-\udfff]/u.test(text[cut] ?? '') ? cut - 1 : cut;
    }
  }
  return null;
}

/** An account id short enough to be read and compared: its first and last digits. */
export function shortId(id: string): string {
  return id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id;
}

/** Whether this is an account id: 05 and 32 bytes in hex. */
export function isAccountId(text: string): boolean {
  return /^05[0-9a-f]{64}$/iu.test(text);
}
