import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import ar from '../src/i18n/ar.json';
import en from '../src/i18n/en.json';
import { bestLanguage, fill, isolated, pick, type Plural } from '../src/i18n/i18n.svelte';
import { briefly, clock, dayName, daysBefore, exactly, fully, localDay, size, span, standsAt } from '../src/lib/dates';

const source = new URL('../src/', import.meta.url);
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(svelte|ts)$/.test(name));
const code = new Map(files.map((name) => [name, readFileSync(new URL(name, source), 'utf8')]));
const all = [...code.values()].join('\n');

const forms = (entry: string | Plural): string[] => (typeof entry === 'string' ? [entry] : Object.values(entry));
const holes = (text: string) => new Set(text.match(/\{\w+\}/g) ?? []);

describe('the words', () => {
  test('are complete in every language, with the same values in them', () => {
    expect(Object.keys(ar)).toEqual(Object.keys(en));
    for (const key of Object.keys(en) as (keyof typeof en)[]) {
      const wanted = new Set(forms(en[key]).flatMap((form) => [...holes(form)]));
      for (const form of forms(ar[key] as string | Plural)) {
        expect(form.trim(), key).not.toBe('');
        for (const hole of holes(form)) expect(wanted.has(hole), `${key} ${hole}`).toBe(true);
      }
      const given = new Set(forms(ar[key] as string | Plural).flatMap((form) => [...holes(form)]));
      expect(given, key).toEqual(wanted);
    }
  });

  test('have every plural form their language asks for', () => {
    for (const [language, strings] of [['en', en], ['ar', ar]] as const) {
      const categories = new Intl.PluralRules(language).resolvedOptions().pluralCategories.toSorted();
      for (const [key, entry] of Object.entries(strings)) {
        if (typeof entry !== 'string') expect(Object.keys(entry).toSorted(), `${language} ${key}`).toEqual(categories);
      }
    }
  });

  test('are all used, and all that are used are there', () => {
    const dynamic = /^(error|emoji|state|detail)_/;
    for (const key of Object.keys(en)) {
      if (!dynamic.test(key)) expect(all.includes(`'${key}'`), key).toBe(true);
    }
  });

  test('stand nowhere else: no component has text of its own', () => {
    for (const [name, text] of code) {
      if (!name.endsWith('.svelte')) continue;
      const markup = text
        .replace(/<(script|style)[\s\S]*?<\/\1>/g, '')
        .replace(/<!--[\s\S]*?-->/g, '')
        .replace(/<code[^>]*>[^<]*<\/code>/g, '');
      const attributes = [...markup.matchAll(/(?:aria-label|title|placeholder|alt)="([^"{}]*[a-z]{3}[^"{}]*)"/g)];
      expect(attributes.map((match) => match[1]), name).toEqual([]);
    }
  });

  test('are chosen by number and filled with values', () => {
    expect(pick({ one: '{count} message', other: '{count} messages' }, 'en', 1)).toBe('{count} message');
    expect(['zero', 'one', 'two', 'few', 'many', 'other'].map((_, i) => pick(ar.chats_unread, 'ar', [0, 1, 2, 3, 11, 100][i]))).toEqual(Object.values(ar.chats_unread));
    expect(fill('{a} and {b} and {c}', { a: 1, b: '{a}' })).toBe('1 and {a} and {c}');
  });

  test('come in the language the browser prefers, else in English', () => {
    expect(bestLanguage(['fr-FR', 'ar-EG', 'en'])).toBe('ar');
    expect(bestLanguage(['xx'])).toBe('en');
  });

  test('cannot be turned around by a name written the other way', () => {
    expect(isolated('Mara', 'ltr')).toBe('Mara');
    expect(isolated('יוסף', 'ltr')).toBe(`${String.fromCharCode(0x2068)}יוסף${String.fromCharCode(0x2069)}`);
    expect(isolated('Mara', 'rtl')).toHaveLength(6);
  });
});

describe('the code of the page', () => {
  test('never makes HTML from text', () => {
    for (const [name, text] of code) {
      for (const way of ['{@html', 'innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document.write', 'eval(', 'new Function', 'srcdoc', 'DOMParser']) {
        expect(text.includes(way), `${name}: ${way}`).toBe(false);
      }
    }
  });

  test('has no inline style that is a whole attribute, and asks nothing elsewhere', () => {
    for (const [name, text] of code) {
      expect(/\sstyle="/.test(text), name).toBe(false);
      for (const address of text.match(/https?:\/\/[a-z0-9.-]+/gi) ?? []) {
        expect(['https://bank.example', 'https://www.w3.org', 'http://www.w3.org', 'https://svelte.dev'], `${name}: ${address}`).toContain(address);
      }
    }
  });
});

describe('times and sizes', () => {
  const now = new Date(2026, 10, 29, 15, 0).getTime();
  const day = 86_400_000;

  test('of a list are the clock today, a weekday this week, else a date', () => {
    expect(briefly(now - 3_600_000, now, 'en-GB')).toBe(clock(now - 3_600_000, 'en-GB'));
    expect(briefly(now - 2 * day, now, 'en-GB')).toBe('Fri');
    expect(briefly(now - 40 * day, now, 'en-GB')).toBe('20 Oct');
    expect(briefly(now - 400 * day, now, 'en-GB')).toBe('25/10/25');
  });

  test('that strangers claim may be beyond what a date can hold', () => {
    const never = 2 ** 63;
    for (const said of [clock(never, 'en'), briefly(never, now, 'en'), fully(never, 'en'), exactly(never), localDay(never)]) expect(said).not.toBe('');
    expect(standsAt({ sent_at: never, arrived_at: now })).toBe(now);
    expect(standsAt({ sent_at: now })).toBe(now);
  });

  test('of a day are words for the last ones', () => {
    expect(dayName('2026-11-29', now, 'en')).toBe('Today');
    expect(dayName('2026-11-28', now, 'en')).toBe('Yesterday');
    expect(dayName('2026-11-26', now, 'en')).toBe('Thursday');
    expect(dayName('2025-01-02', now, 'en-GB')).toContain('2025');
    expect(dayName('nonsense', now, 'en')).toBe('nonsense');
  });

  test('count days by the calendar, not by 24 hours', () => {
    const midnight = new Date(2026, 10, 29, 0, 5).getTime();
    expect(daysBefore(midnight - 10 * 60_000, midnight)).toBe(1);
  });

  test('of a timer are the largest whole unit', () => {
    expect([30, 60, 3_600, 86_400, 604_800].map((seconds) => span(seconds, 'en'))).toEqual(['30 seconds', '1 minute', '1 hour', '1 day', '1 week']);
    expect(span(0, 'en')).toBe('0 seconds');
    expect(span(90, 'en', 'narrow')).toBe('2m');
  });

  test('of files are in powers of 1,000', () => {
    expect(size(10, 'en')).toBe('10 bytes');
    expect(size(3_412_881, 'en')).toBe('3.4 MB');
    expect(size(-5, 'en')).toBe('0 bytes');
  });
});
