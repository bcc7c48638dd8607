import { beforeEach, describe, expect, test } from 'vitest';
import { Back, type Layer, type Steps } from '../src/lib/back';

/** A tab's history as a browser keeps it: it goes somewhere only after what runs now, and says so then. */
class Tab implements Steps {
  entries: unknown[] = ['elsewhere', null];
  at = 1;
  told: (state: unknown) => void = () => {};
  #way = 0;

  get state(): unknown {
    return this.entries[this.at];
  }

  pushState(state: unknown): void {
    this.entries = [...this.entries.slice(0, this.at + 1), state];
    this.at++;
  }

  go(by = 0): void {
    this.#way += by;
  }

  /** What was asked for happens. */
  settle(): void {
    while (this.#way !== 0) {
      const to = this.at + this.#way;
      this.#way = 0;
      if (to < 0 || to >= this.entries.length) continue;
      this.at = to;
      this.told(this.state);
    }
  }
}

describe('the way back', () => {
  let tab: Tab;
  let open: string[];
  let back: Back;

  const layers = (): Layer[] => open.map((name) => ({ close: () => (open = open.filter((one) => one !== name)) }));
  const show = (...names: string[]) => {
    open = names;
    back.follow();
  };
  /** How many entries there are beside where one came from, and at which one is. */
  const place = () => [tab.entries.length - 2, tab.at - 1];

  beforeEach(() => {
    tab = new Tab();
    open = [];
    back = new Back(tab, layers);
    tab.told = (state) => back.arrived(state);
  });

  test('closes one thing at a time, and then leaves', () => {
    show('chat');
    show('chat', 'gallery');
    show('chat', 'gallery', 'viewer');
    for (const left of [['chat', 'gallery'], ['chat'], []]) {
      tab.go(-1);
      tab.settle();
      expect(open).toEqual(left);
    }
    tab.go(-1);
    tab.settle();
    expect(tab.state).toBe('elsewhere');
  });

  test('has nothing of what it leads through in the history', () => {
    show('chat', 'gallery');
    expect(JSON.stringify(tab.entries.slice(2))).toBe('[{"conclave.layer":1},{"conclave.layer":2}]');
  });

  test('does not grow by what is closed otherwise, and opened again', () => {
    for (let i = 0; i < 5; i++) {
      show('chat');
      show('chat', 'menu');
      // What follows another thing at once takes its place.
      show('chat', 'dialog');
      show('chat');
      tab.settle();
      expect(place()).toEqual([2, 1]);
      show();
      tab.settle();
      expect(tab.at).toBe(1);
    }
    expect(tab.entries.length).toBe(4);
  });

  test('waits for the browser, which goes only later: what opens meanwhile stays open', () => {
    show('chat', 'gallery');
    show();
    show('other chat');
    tab.settle();
    expect(open).toEqual(['other chat']);
    expect(place()).toEqual([1, 1]);
    tab.go(-1);
    tab.settle();
    expect(open).toEqual([]);
  });

  test('closes what somebody went past in one step', () => {
    show('search', 'chat', 'dialog');
    tab.go(-3);
    tab.settle();
    expect(open).toEqual([]);
    expect(tab.at).toBe(1);
  });

  test('leads forward to nothing: what was closed is gone', () => {
    show('chat');
    tab.go(-1);
    tab.settle();
    tab.go(1);
    tab.settle();
    expect(open).toEqual([]);
    expect(tab.at).toBe(1);
  });

  test('leaves the entry of a thing that a reload has closed', () => {
    show('chat', 'dialog');
    open = [];
    back = new Back(tab, layers);
    back.follow();
    tab.settle();
    expect(tab.at).toBe(1);
  });

  test('goes on through what is uncovered', () => {
    let section = true;
    let chat = true;
    // A chat that lies behind a section is in front of nothing as long as the section is there.
    back = new Back(tab, () => (section ? [{ close: () => (section = false) }] : chat ? [{ close: () => (chat = false) }] : []));
    back.follow();
    tab.go(-1);
    tab.settle();
    expect([section, chat, tab.at]).toEqual([false, true, 2]);
    tab.go(-1);
    tab.settle();
    expect([chat, tab.at]).toEqual([false, 1]);
  });

  test('takes entries of others for the beginning', () => {
    for (const state of [null, 'text', 7, { 'conclave.layer': -1 }, { 'conclave.layer': '2' }, { 'conclave.layer': 1.5 }]) {
      show('chat');
      back.arrived(state);
      expect(open).toEqual([]);
    }
  });
});
