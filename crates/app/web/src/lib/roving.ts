/** Arrow keys move the focus through a list; the list is one Tab stop. `across`: a row instead, along the line of reading. */
export function roving(selector = '[data-item]', across = false): (root: HTMLElement) => () => void {
  return (root) => {
    const onkeydown = (event: KeyboardEvent): void => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const items = [...root.querySelectorAll<HTMLElement>(selector)];
      const at = items.indexOf(document.activeElement as HTMLElement);
      if (at < 0) return;
      const rtl = document.documentElement.dir === 'rtl';
      const [on, back] = across ? (rtl ? ['ArrowLeft', 'ArrowRight'] : ['ArrowRight', 'ArrowLeft']) : ['ArrowDown', 'ArrowUp'];
      const next = event.key === on ? at + 1 : event.key === back ? at - 1 : { Home: 0, End: items.length - 1 }[event.key];
      if (next === undefined || !items[next]) return;
      event.preventDefault();
      items[next]?.focus();
    };
    root.addEventListener('keydown', onkeydown);
    return () => root.removeEventListener('keydown', onkeydown);
  };
}
