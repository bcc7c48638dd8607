/**
 * Times, spans and sizes in words, through Intl. Times are milliseconds since the epoch.
 */

const DAY = 86_400_000;
/** The last moment a Date can hold. What strangers claim may lie beyond it, and formatting that would throw. */
const LAST_MOMENT = 8.64e15;
const formats = new Map<string, Intl.DateTimeFormat>();

// Making a formatter is slow, and lists need the same few again and again.
function formatter(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(locale, options);
    formats.set(key, format);
  }
  return format;
}

function dateOf(time: number): Date {
  return new Date(Math.min(time, LAST_MOMENT));
}

/** The time by which a message stands in its conversation: when it was sent, unless that cannot be. */
export function standsAt(message: { sent_at: number; arrived_at?: number }): number {
  return message.arrived_at ?? message.sent_at;
}

/** For machines: what the `datetime` of a `time` element wants. */
export function exactly(time: number): string {
  return dateOf(time).toISOString();
}

function startOfDay(time: number): number {
  const date = dateOf(time);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** Whole days between the days of two times: 0 is the same day, 1 the day before. */
export function daysBefore(time: number, now: number): number {
  return Math.round((startOfDay(now) - startOfDay(time)) / DAY);
}

/** The day of a time by this machine's clock, `2026-11-29`. */
export function localDay(time: number): string {
  const date = dateOf(time);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}

/** `14:05` */
export function clock(time: number, locale: string): string {
  return formatter(locale, { hour: 'numeric', minute: '2-digit' }).format(dateOf(time));
}

/** For a list: the clock today, a weekday in the last week, else a date. */
export function briefly(time: number, now: number, locale: string): string {
  const days = daysBefore(time, now);
  if (days <= 0) return clock(time, locale);
  if (days < 7) return formatter(locale, { weekday: 'short' }).format(dateOf(time));
  const sameYear = dateOf(time).getFullYear() === new Date(now).getFullYear();
  return formatter(locale, sameYear ? { day: 'numeric', month: 'short' } : { day: 'numeric', month: 'numeric', year: '2-digit' }).format(dateOf(time));
}

/** In full, with seconds. */
export function fully(time: number, locale: string): string {
  return formatter(locale, { dateStyle: 'full', timeStyle: 'medium' }).format(dateOf(time));
}

/** A day, given as `2026-11-29` by the page's own clock: today, yesterday, a weekday, or a date. */
export function dayName(day: string, now: number, locale: string): string {
  const [year, month, date] = day.split('-').map(Number);
  if (!year || !month || !date) return day;
  const time = new Date(year, month - 1, date).getTime();
  const days = daysBefore(time, now);
  if (days === 0 || days === 1) {
    const word = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(-days, 'day');
    return word.charAt(0).toLocaleUpperCase(locale) + word.slice(1);
  }
  if (days > 1 && days < 7) return formatter(locale, { weekday: 'long' }).format(time);
  const sameYear = year === new Date(now).getFullYear();
  return formatter(locale, { weekday: 'short', day: 'numeric', month: 'long', ...(sameYear ? {} : { year: 'numeric' }) }).format(time);
}

const UNITS: [Intl.RelativeTimeFormatUnitSingular, number][] = [
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** A span of time in its largest whole unit, rounded up: `1 day`, or `1d` when short. */
export function span(seconds: number, locale: string, style: 'long' | 'narrow' = 'long'): string {
  for (const [unit, size] of UNITS) {
    // A set time is said exactly (`24 hours` is a day); what is left of a running one is rounded.
    if (seconds >= size || unit === 'second') {
      const value = Math.max(0, Math.ceil(seconds / size - 0.05));
      return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: style }).format(value);
    }
  }
  return '';
}

/** `3.4 MB`: powers of 1,000, as files are shown. */
export function size(bytes: number, locale: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: units[unit] ?? 'byte',
    unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  }).format(value);
}
