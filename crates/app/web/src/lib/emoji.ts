/** The emoji the picker offers: a file of its own, loaded when it is first needed. */

import address from '../generated/emoji.json?url';

export type Group = [slug: string, emoji: [emoji: string, name: string][]];

let list: Promise<Group[]> | null = null;

async function load(): Promise<Group[]> {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`emoji: ${answer.status}`);
  return (await answer.json()) as Group[];
}

/** All groups. A failure is not kept: the next call tries again. */
export function emojiGroups(): Promise<Group[]> {
  if (!list) {
    list = load();
    list.catch(() => (list = null));
  }
  return list;
}
