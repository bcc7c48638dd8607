/** The one sound that is played: beginning another ends it. */

import { addressOf, keyOf } from './files';

const SPEEDS = [1, 1.5, 2] as const;

class Playing {
  /** Which file: message and place. */
  key = $state<string | null>(null);
  paused = $state(true);
  at = $state(0);
  length = $state(0);
  failed = $state<string | null>(null);
  speed = $state(1);
  #sound: HTMLAudioElement | null = null;

  toggle(message: string, place: number): void {
    const key = keyOf(message, place);
    if (this.key === key && this.#sound) {
      if (this.#sound.paused) void this.#sound.play().catch(() => {});
      else this.#sound.pause();
      return;
    }
    this.#begin(key, addressOf(message, place, 'play'));
  }

  #begin(key: string, address: string): void {
    this.stop();
    const sound = new Audio();
    this.#sound = sound;
    Object.assign(this, { key, paused: true, at: 0, length: 0, failed: null });
    sound.preservesPitch = true;
    const mine = (act: () => void) => () => this.#sound === sound && act();
    sound.onplay = mine(() => (this.paused = false));
    sound.onpause = mine(() => (this.paused = true));
    sound.ontimeupdate = mine(() => (this.at = sound.currentTime));
    sound.ondurationchange = mine(() => (this.length = Number.isFinite(sound.duration) ? sound.duration : 0));
    sound.onended = mine(() => {
      this.at = 0;
      sound.currentTime = 0;
    });
    sound.onerror = mine(() => {
      this.failed = key;
      this.paused = true;
    });
    sound.src = address;
    sound.playbackRate = sound.defaultPlaybackRate = this.speed;
    void sound.play().catch(() => {});
  }

  seek(seconds: number): void {
    if (this.#sound) this.#sound.currentTime = this.at = seconds;
  }

  faster(): void {
    this.speed = SPEEDS[(SPEEDS.indexOf(this.speed as (typeof SPEEDS)[number]) + 1) % SPEEDS.length] ?? 1;
    if (this.#sound) this.#sound.playbackRate = this.#sound.defaultPlaybackRate = this.speed;
  }

  stop(): void {
    const sound = this.#sound;
    this.#sound = null;
    this.key = null;
    this.paused = true;
    if (sound) {
      sound.pause();
      sound.removeAttribute('src');
      sound.load();
    }
  }
}

export const playing = new Playing();
