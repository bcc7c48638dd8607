import { describe, expect, test } from 'vitest';
import { findLinks, readLink } from '../src/lib/links';

const shown = (text: string) => findLinks(text).map(({ link }) => link.shown);
const C = (code: number) => String.fromCharCode(code);

describe('a link', () => {
  test('is only http or https, written out', () => {
    expect(shown('javascript:alert(1) data:text/html,x vbscript:x file:///etc/passwd ftp://a.b www.example.org')).toEqual([]);
    expect(shown('see https://example.org and http://example.org/x')).toEqual(['https://example.org', 'http://example.org/x']);
    expect(shown('HTTPS://EXAMPLE.ORG')).toEqual(['HTTPS://EXAMPLE.ORG']);
  });

  test('never has a user name in front of its host', () => {
    expect(readLink('https://bank.example@evil.example/')).toBeNull();
    expect(readLink('https://a:b@evil.example/')).toBeNull();
  });

  test('takes no time to find, however many brackets stand behind it', () => {
    expect(shown(`http://a${')'.repeat(200_000)}`)).toEqual(['http://a']);
  });

  test('leaves the punctuation of the sentence alone, and keeps brackets that it opened', () => {
    expect(shown('(https://example.org/a).')).toEqual(['https://example.org/a']);
    expect(shown('https://en.wikipedia.org/wiki/Conclave_(disambiguation), second')).toEqual(['https://en.wikipedia.org/wiki/Conclave_(disambiguation)']);
    expect(shown('https://example.org/«x»! ')).toEqual(['https://example.org/«x']);
    expect(shown('هنا https://example.org/a، ثم')).toEqual(['https://example.org/a']);
  });

  test('shows the host as it will be asked for: punycode where letters are beyond ASCII', () => {
    const fake = readLink('https://www.аррӏе.com/account');
    expect(fake?.host).toBe('www.xn--80ak6aa92e.com');
    expect(fake?.lookalike).toBe(true);
    expect(readLink('https://xn--80ak6aa92e.com/')?.lookalike).toBe(true);
    expect(readLink('https://example.org/мир')?.lookalike).toBe(false);
    // Full-width letters become ASCII, and so do other disguises: what is typed is not what is asked.
    expect(readLink('https://ｅxample.org/')).toMatchObject({ host: 'example.org', lookalike: true });
  });

  test('shows the host behind slashes and numbers that hide it', () => {
    expect(readLink('https://evil.example\\@good.example/')?.host).toBe('evil.example');
    expect(readLink('http://2130706433/')?.host).toBe('127.0.0.1');
    expect(readLink('https://example.org:8443/')?.host).toBe('example.org:8443');
  });

  test('ends at characters that are not seen', () => {
    expect(shown(`https://example.org/${C(0x202e)}gpj.exe`)).toEqual(['https://example.org/']);
    expect(shown(`https://exam${C(0x200b)}ple.org/`)).toEqual(['https://exam']);
  });

  test('says when it is not encrypted', () => {
    expect(readLink('http://example.org')?.plain).toBe(true);
    expect(readLink('https://example.org')?.plain).toBe(false);
  });

  test('is found in bounded time, and none is longer than 2,048 characters', () => {
    expect(shown(`https://example.org/${'a'.repeat(4_000)}`)).toEqual([]);
    expect(findLinks('https://a.b/)'.repeat(2_000))).toHaveLength(0);
    expect(findLinks('http://'.repeat(5_000)).length).toBeLessThan(5_000);
  });
});
