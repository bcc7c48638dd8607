/** Sound as a WAV file, 16 bits, one channel: what the program makes a voice message of. */

/** Samples a second of a voice message: all of what speech needs. */
export const VOICE_RATE = 16_000;

/** A WAV file of these samples, each between -1 and 1. */
export function wavOf(samples: Float32Array, rate: number): ArrayBuffer {
  const size = samples.length * 2;
  const wav = new ArrayBuffer(44 + size);
  const view = new DataView(wav);
  const word = (at: number, letters: string) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  word(0, 'RIFF');
  view.setUint32(4, 36 + size, true);
  word(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  // PCM, one channel.
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, 'data');
  view.setUint32(40, size, true);
  samples.forEach((sample, i) => {
    const level = Math.max(-1, Math.min(1, Number.isFinite(sample) ? sample : 0));
    view.setInt16(44 + i * 2, Math.round(level * (level < 0 ? 0x8000 : 0x7fff)), true);
  });
  return wav;
}

/** How loud a sound is along its way: so many numbers between 0 and 1, the loudest being 1 unless all is silent. */
export function waveform(samples: Float32Array, bars: number): number[] {
  const peaks = Array.from({ length: bars }, (_, bar) => {
    const from = Math.floor((bar * samples.length) / bars);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * samples.length) / bars));
    let sum = 0;
    for (let i = from; i < to; i++) sum += (samples[i] ?? 0) ** 2;
    return Math.sqrt(sum / (to - from));
  });
  const loudest = Math.max(...peaks, 0.001);
  return peaks.map((peak) => Math.min(1, peak / loudest));
}

/** Pieces as one. */
export function joined(pieces: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** `1:05`, for the length of a sound. */
export function minutes(seconds: number): string {
  const whole = Math.max(0, Math.round(Number.isFinite(seconds) ? seconds : 0));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
