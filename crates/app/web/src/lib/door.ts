/**
 * How the page gets in: a code from the address, good once, becomes a secret that lives as long as the tab.
 */

const KEY = 'conclave.secret';

/** Takes the code out of the address, so that it stays in no history and no screenshot. */
function takeCode(): string | null {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (location.hash) history.replaceState(null, '', location.pathname);
  return code;
}

/** The secret of this tab, or `null` if it has none and the code (if any) was not taken. */
export async function enter(): Promise<string | null> {
  const code = takeCode();
  if (code) {
    const answer = await fetch('/api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    });
    if (answer.ok) {
      const { secret } = (await answer.json()) as { secret: string };
      sessionStorage.setItem(KEY, secret);
    }
    // A code that is used up may be in a tab that was reloaded: its secret is still good.
  }
  return sessionStorage.getItem(KEY);
}

/** The secret of this tab, if it is in. */
export function secret(): string | null {
  return sessionStorage.getItem(KEY);
}

/** The secret is of no use any more, nor is what else this tab remembered. */
export function forget(): void {
  sessionStorage.clear();
}

/** Where the server listens for the page. */
export function socketAddress(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/socket`;
}
