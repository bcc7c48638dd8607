// The theme that was chosen, before anything is drawn: else the page would begin in the other one. `src/lib/prefs.svelte.ts` keeps it.
try {
  const { theme } = JSON.parse(localStorage.getItem('conclave.look') ?? '{}');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Unreadable: as if nothing had been kept.
}
