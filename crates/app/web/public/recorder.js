// Runs beside the page, on the browser's thread for sound: hands the page what the microphone hears, as one channel.
const PIECE = 2048;

registerProcessor(
  'recorder',
  class extends AudioWorkletProcessor {
    #piece = new Float32Array(PIECE);
    #filled = 0;

    process([channels]) {
      const length = channels[0]?.length ?? 0;
      for (let i = 0; i < length; i++) {
        let sum = 0;
        for (const channel of channels) sum += channel[i];
        this.#piece[this.#filled++] = sum / channels.length;
        if (this.#filled === PIECE) {
          this.port.postMessage(this.#piece.slice());
          this.#filled = 0;
        }
      }
      return true;
    }
  },
);
