/**
 * All words of the page, in the reader's language. Translators need only the JSON files beside this one.
 *
 * A string may name values in braces, `{name}`; a string that depends on a number has one form for each plural
 * category of its language (CLDR), chosen by `{count}`.
 */

import en from './en.json';

export type Key = keyof typeof en;
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Strings = Record<Key, string | Plural>;
export type Language = 'en' | 'ar';

/** Every language the page has: its own name for itself, and which way it is written. */
export const LANGUAGES: Record<Language, { name: string; direction: 'ltr' | 'rtl' }> = {
  en: { name: 'English', direction: 'ltr' },
  ar: { name: 'العربية', direction: 'rtl' },
};

const loaders: Record<Exclude<Language, 'en'>, () => Promise<{ default: unknown }>> = {
  ar: () => import('./ar.json'),
};

/** The language of a browser that prefers these, in order. */
export function bestLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const base = tag.split('-')[0]?.toLowerCase();
    if (base && base in LANGUAGES) return base as Language;
  }
  return 'en';
}

/** Puts values into a string. Unknown names stay as they are, so that a missing value is seen. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u;

/** A value that may run the other way than the sentence around it, so that it cannot turn the sentence around. */
export function isolated(value: string, direction: 'ltr' | 'rtl'): string {
  const needed = direction === 'rtl' || RIGHT_TO_LEFT.test(value);
  return needed ? `${FIRST_STRONG_ISOLATE}${value}${POP_ISOLATE}` : value;
}

/** The form of a string for this language and number. */
export function pick(entry: string | Plural, language: string, count: number | undefined): string {
  if (typeof entry === 'string') return entry;
  const rule = new Intl.PluralRules(language).select(count ?? 0);
  return entry[rule] ?? entry.other;
}

const FIRST_STRONG_ISOLATE = String.fromCharCode(0x2068);
const POP_ISOLATE = String.fromCharCode(0x2069);

class I18n {
  language = $state<Language>('en');
  #strings = $state.raw<Strings>(en);

  get direction(): 'ltr' | 'rtl' {
    return LANGUAGES[this.language].direction;
  }

  /** For Intl: Arabic with the digits of account ids and counters, so that numbers read alike everywhere. */
  get locale(): string {
    return this.language === 'ar' ? 'ar-u-nu-latn' : this.language === 'en' ? englishLocale() : this.language;
  }

  async use(language: Language): Promise<void> {
    this.#strings = language === 'en' ? en : ((await loaders[language]()).default as Strings);
    this.language = language;
    document.documentElement.lang = language;
    document.documentElement.dir = this.direction;
  }

  text(key: Key, values: Record<string, string | number> = {}): string {
    const count = typeof values['count'] === 'number' ? values['count'] : undefined;
    const shown: Record<string, string | number> = {};
    for (const [name, value] of Object.entries(values)) {
      shown[name] = typeof value === 'number' ? this.number(value) : isolated(value, this.direction);
    }
    return fill(pick(this.#strings[key] ?? en[key], this.language, count), shown);
  }

  number(value: number): string {
    return new Intl.NumberFormat(this.locale).format(value);
  }
}

/** British and American readers write dates differently: the browser's own kind of English. */
function englishLocale(): string {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith('en')) ?? 'en';
}

export const i18n = new I18n();

/** The words for `key`, with `values` put in. */
export const t = (key: Key, values?: Record<string, string | number>): string => i18n.text(key, values);

/** Whether there are words for this: for keys that come from the server's short names. */
export function hasKey(key: string): key is Key {
  return key in en;
}
