import { describe, expect, test } from 'vitest';
import { endingOf } from '../src/chat/kinds';
import { kindOf } from '../src/lib/files';
import { joined, minutes, waveform, wavOf } from '../src/lib/wav';

describe('what a file is shown as', () => {
  test('follows from what its sender says, and a drawing is no picture', () => {
    const kinds = ['image/jpeg', 'IMAGE/PNG', 'image/svg+xml', 'video/mp4', 'audio/ogg', 'text/html', 'image', ''].map((type) => kindOf(type, false));
    expect(kinds).toEqual(['picture', 'picture', 'file', 'video', 'audio', 'file', 'file', 'file']);
    expect(kindOf('audio/wav', true)).toBe('voice');
    expect(kindOf(undefined, undefined)).toBe('file');
  });

  test('shows the true ending of a name, also of one that is made to hide it', () => {
    expect(endingOf('report.pdf')).toBe('PDF');
    expect(endingOf('report.pdf                          .exe')).toBe('EXE');
    expect(endingOf('no ending')).toBe('');
    expect(endingOf('.')).toBe('');
    expect(endingOf('archive.tar.gz')).toBe('GZ');
    expect(endingOf('x.thisisnoending')).toBe('');
  });
});

describe('a sound', () => {
  const text = (wav: ArrayBuffer, from: number, to: number) => String.fromCharCode(...new Uint8Array(wav.slice(from, to)));

  test('becomes a WAV file: 16 bits, one channel, as loud as it was', () => {
    const wav = wavOf(new Float32Array([0, 1, -1, 0.5, 2, -2, NaN]), 16_000);
    const view = new DataView(wav);
    expect([text(wav, 0, 4), text(wav, 8, 16), text(wav, 36, 40)]).toEqual(['RIFF', 'WAVEfmt ', 'data']);
    expect([view.getUint16(20, true), view.getUint16(22, true), view.getUint32(24, true), view.getUint32(28, true), view.getUint16(34, true)]).toEqual([1, 1, 16_000, 32_000, 16]);
    expect([view.getUint32(4, true), view.getUint32(40, true), wav.byteLength]).toEqual([36 + 14, 14, 44 + 14]);
    expect([0, 1, 2, 3, 4, 5, 6].map((n) => view.getInt16(44 + n * 2, true))).toEqual([0, 32_767, -32_768, 16_384, 32_767, -32_768, 0]);
  });

  test('has a picture of so many bars, the loudest of which is whole', () => {
    const samples = new Float32Array(1_000).map((_, n) => (n < 500 ? 0.1 : 0.5) * (n % 2 === 0 ? 1 : -1));
    const bars = waveform(samples, 4);
    expect(bars).toHaveLength(4);
    expect(bars[3]).toBe(1);
    expect(bars[0]).toBeCloseTo(0.2);
    expect(waveform(new Float32Array(0), 3)).toEqual([0, 0, 0]);
    expect(waveform(new Float32Array(2), 5).every((bar) => bar === 0)).toBe(true);
  });

  test('comes in pieces and has a length in minutes', () => {
    expect([...joined([new Float32Array([1, 2]), new Float32Array([]), new Float32Array([3])])]).toEqual([1, 2, 3]);
    expect([0, 5.4, 65, 600, NaN, -3].map(minutes)).toEqual(['0:00', '0:05', '1:05', '10:00', '0:00', '0:00']);
  });
});
