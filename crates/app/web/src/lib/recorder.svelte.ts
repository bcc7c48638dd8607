/** A voice message from the microphone: listened to here, made a file here, and gone when it is not sent. */

import { joined, VOICE_RATE, waveform, wavOf } from './wav';

/** The longest voice message, as in the other programs of the network. */
export const LONGEST_S = 5 * 60;
/** Bars of the picture of a sound. */
export const BARS = 48;

export type Recording = 'asking' | 'recording' | 'done' | 'denied' | 'no_microphone';

export class Recorder {
  state = $state<Recording>('asking');
  seconds = $state(0);
  /** How loud it was of late, each between 0 and 1. */
  levels = $state.raw<number[]>([]);
  /** What came of it. */
  wav: ArrayBuffer | null = null;
  #pieces: Float32Array[] = [];
  #samples = 0;
  #stream: MediaStream | null = null;
  #context: AudioContext | null = null;
  #ended = false;

  async start(): Promise<void> {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
      this.#stream = stream;
      // Whoever thought better of it while the browser asked.
      if (this.#ended) return this.#release();
      const context = new AudioContext();
      this.#context = context;
      await context.audioWorklet.addModule('/recorder.js');
      const node = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
      node.port.onmessage = (event: MessageEvent<Float32Array>) => this.#take(event.data, context.sampleRate);
      context.createMediaStreamSource(stream).connect(node);
      if (this.#ended) return this.#release();
      this.state = 'recording';
    } catch (error) {
      this.#release();
      const denied = error instanceof DOMException && error.name === 'NotAllowedError';
      this.state = denied ? 'denied' : 'no_microphone';
    }
  }

  #take(piece: Float32Array, rate: number): void {
    if (this.#ended) return;
    this.#pieces.push(piece);
    this.#samples += piece.length;
    this.seconds = this.#samples / rate;
    const loud = Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length);
    this.levels = [...this.levels.slice(1 - BARS), Math.min(1, loud * 5)];
    if (this.seconds >= LONGEST_S) void this.stop();
  }

  /** Ends it; `wav` is what was heard. Whether there is anything. */
  async stop(): Promise<boolean> {
    if (this.state !== 'recording' || this.#ended) return this.state === 'done';
    this.#ended = true;
    const rate = this.#context?.sampleRate ?? VOICE_RATE;
    this.#release();
    const heard = joined(this.#pieces);
    this.#pieces = [];
    if (heard.length === 0) {
      this.state = 'no_microphone';
      return false;
    }
    const samples = rate === VOICE_RATE ? heard : await resampled(heard, rate);
    this.wav = wavOf(samples, VOICE_RATE);
    this.levels = waveform(samples, BARS);
    this.seconds = samples.length / VOICE_RATE;
    this.state = 'done';
    return true;
  }

  /** Ends it, and forgets what was heard. */
  cancel(): void {
    this.#ended = true;
    this.#pieces = [];
    this.wav = null;
    this.#release();
  }

  #release(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    void this.#context?.close().catch(() => {});
    this.#context = null;
  }
}

async function resampled(samples: Float32Array<ArrayBuffer>, rate: number): Promise<Float32Array> {
  const context = new OfflineAudioContext(1, Math.max(1, Math.ceil((samples.length * VOICE_RATE) / rate)), VOICE_RATE);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}
