/** How long sounds are, and how loud along their way: found out by the program, of those that come into view. */

import { SvelteMap } from 'svelte/reactivity';
import { addressOf, keyOf } from './files';

export interface Heard {
  seconds: number;
  /** From 0 to 1; none where the program does not decode the sound. */
  bars: number[];
}

/** So many are remembered. */
const MOST = 300;

/** By message and place; `null` for what nothing can be found out of. */
export const heard = new SvelteMap<string, Heard | null>();

/** Has the program listen to a sound that is here, once. */
export async function listenTo(message: string, place: number): Promise<void> {
  const key = keyOf(message, place);
  if (heard.has(key)) return;
  const oldest = heard.keys().next();
  if (heard.size >= MOST && !oldest.done) heard.delete(oldest.value);
  heard.set(key, null);
  try {
    const answer = await fetch(addressOf(message, place, 'sound'));
    if (answer.ok) heard.set(key, (await answer.json()) as Heard);
    // What is too large or of another kind stays without; everything else may be different the next time.
    else if (answer.status !== 415) heard.delete(key);
  } catch {
    heard.delete(key);
  }
}
