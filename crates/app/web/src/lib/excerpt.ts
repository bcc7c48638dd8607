/** The part of a found message that shows why it was found: around its first mark, on one line. */

import { marksInUnits } from './text';

const BEFORE = 32;
const LONGEST = 220;

/** `marks` are bytes of UTF-8; those that come back are UTF-16 units of the text that comes back. */
export function excerpt(text: string, marks: readonly [number, number][]): { text: string; marks: [number, number][] } {
  const units = marksInUnits(text, marks);
  const first = units[0]?.[0] ?? 0;
  let from = first > BEFORE + 8 ? first - BEFORE : 0;
  if (from > 0) {
    const space = text.indexOf(' ', from);
    if (space >= 0 && space < first) from = space + 1;
    else if (/[\udc00-\udfff]/.test(text.charAt(from))) from--;
  }
  const to = Math.min(text.length, from + LONGEST);
  const lead = from > 0 ? '…' : '';
  // Every replaced character keeps its length, so that the marks stay in place.
  const line = text.slice(from, to).replace(/[\r\n\t]/g, ' ');
  return {
    text: lead + line + (to < text.length ? '…' : ''),
    marks: units
      .filter(([begin, end]) => begin >= from && end <= to)
      .map(([begin, end]) => [begin - from + lead.length, end - from + lead.length]),
  };
}
