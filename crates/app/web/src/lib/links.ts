/**
 * Links in texts of strangers: what is one, and where it really leads.
 *
 * Only http and https, only written out, never with a user name in front of the host. What is shown
 * before it opens is the host as the browser will ask for it: letters that look like others are punycode there.
 */

export interface Link {
  /** As it stands in the text. */
  shown: string;
  /** As the browser will open it. */
  href: string;
  /** The host in ASCII, with its port if that is not the usual one. */
  host: string;
  /** The host has letters beyond ASCII: it may only look like another. */
  lookalike: boolean;
  /** It goes over the wire unencrypted. */
  plain: boolean;
}

const CANDIDATE = /\bhttps?:\/\/[^\s<>"\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+/giu;
const LONGEST = 2_048;
const PAIRS: Record<string, string> = { ')': '(', ']': '[', '}': '{' };

/** Punctuation after an address belongs to the sentence; a closing bracket too, unless it was opened inside. */
function trimEnd(text: string): string {
  const count = new Map<string, number>();
  for (const bracket of text.match(/[()[\]{}]/gu) ?? []) count.set(bracket, (count.get(bracket) ?? 0) + 1);
  let end = text.length;
  for (; end > 0; end--) {
    const last = text.charAt(end - 1);
    const opener = PAIRS[last];
    if (opener !== undefined) {
      const closed = count.get(last) ?? 0;
      if (closed <= (count.get(opener) ?? 0)) break;
      count.set(last, closed - 1);
    } else if (!/[.,;:!?'"*_~…»”’。、！？）」』，؟،؛]/u.test(last)) {
      break;
    }
  }
  return text.slice(0, end);
}

/** Reads one address; `null` if it is none that may be opened. */
export function readLink(shown: string): Link | null {
  if (shown.length > LONGEST) return null;
  let url: URL;
  try {
    url = new URL(shown);
  } catch {
    return null;
  }
  if ((url.protocol !== 'https:' && url.protocol !== 'http:') || !url.hostname) return null;
  // `https://bank.example@evil.example` reads like the bank.
  if (url.username || url.password) return null;
  const typed = /^https?:[\\/]+([^\\/?#]*)/iu.exec(shown)?.[1] ?? '';
  const lookalike = url.hostname.split('.').some((label) => label.startsWith('xn--')) || /[^\u0021-\u007e]/u.test(typed);
  return { shown, href: url.href, host: url.host, lookalike, plain: url.protocol === 'http:' };
}

/** All links of a text with the place (in UTF-16 units) where each begins. */
export function findLinks(text: string): { at: number; link: Link }[] {
  const found: { at: number; link: Link }[] = [];
  for (const match of text.matchAll(CANDIDATE)) {
    const link = readLink(trimEnd(match[0]));
    if (link) found.push({ at: match.index, link });
  }
  return found;
}
