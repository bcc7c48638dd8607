/**
 * Mentions: `@` and an account id in a text (client-messages 4.2). On the screen they are names, in what is sent and kept
 * they are ids.
 */

export interface Person {
  id: string;
  name: string;
}

const MENTION = /@(05[0-9a-f]{64})(?![0-9a-f])/giu;

/** All mentions of a text, with the place (in UTF-16 units) where each begins. */
export function findMentions(text: string): { at: number; length: number; id: string }[] {
  return Array.from(text.matchAll(MENTION), (match) => ({ at: match.index, length: match[0].length, id: (match[1] ?? '').toLowerCase() }));
}

/** The text with names instead of ids. `nameOf` gives `null` for whom it does not know. */
export function withNames(text: string, nameOf: (id: string) => string | null): string {
  return text.replace(MENTION, (whole, id: string) => {
    const name = nameOf(id.toLowerCase());
    return name === null ? whole : `@${name}`;
  });
}

/** The text with ids instead of the names of these people, wherever a name stands whole behind an `@` that begins a word. */
export function withIds(text: string, people: readonly Person[]): string {
  // The longest first: `@Anna Bell` is not Anna.
  const names = people.filter(({ name }) => name !== '').sort((a, b) => b.name.length - a.name.length);
  if (names.length === 0) return text;
  const escaped = names.map(({ name }) => name.replace(/[.*+?^${}()|[\]\\/]/gu, '\\$&'));
  const named = new RegExp(`(^|[^\\p{L}\\p{N}_@])@(${escaped.join('|')})(?![\\p{L}\\p{N}_])`, 'gu');
  return text.replace(named, (whole, before: string, name: string) => {
    const person = names.find((one) => one.name === name);
    return person ? `${before}@${person.id}` : whole;
  });
}

/** What of a name is written at the caret, behind an `@` that begins a word; `null` if none is being written. */
export function begunAt(text: string, caret: number): string | null {
  return /(?:^|[\s([{"'“‘])@([\p{L}\p{N}_.'’-]{0,40})$/u.exec(text.slice(0, caret))?.[1] ?? null;
}

/** Those of whose names one word begins like this. */
export function whoFits(begun: string, people: readonly Person[]): Person[] {
  const wanted = begun.toLocaleLowerCase();
  return people.filter(({ name }) => name !== '' && name.toLocaleLowerCase().split(/\s+/u).some((word) => word.startsWith(wanted)));
}
