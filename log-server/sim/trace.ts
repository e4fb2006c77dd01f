// A fingerprint of everything that happens in a run, and, when asked for, a transcript to read.

/** Most lines of a transcript that are kept: the end is what explains a violation. */
const LINES_MAX = 200_000;

/** Collects what happens. Cheap unless lines are wanted. */
export class Trace {
  readonly #keepLines: boolean;
  readonly #lines: string[] = [];
  #a = 0x811c9dc5;
  #b = 0x1b873593;

  constructor(keepLines: boolean) {
    this.#keepLines = keepLines;
  }

  /** Mixes a number into the fingerprint. */
  mix(value: number): void {
    this.#a = Math.imul(this.#a ^ (value & 0xffff_ffff), 0x01000193);
    this.#b = Math.imul(this.#b + value, 0x85ebca6b) ^ (this.#a >>> 13);
  }

  /** Mixes a text into the fingerprint. */
  mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.mix(text.charCodeAt(i));
  }

  /** Adds a line to the transcript. */
  note(time: number, who: string, text: () => string): void {
    if (!this.#keepLines) return;
    this.#lines.push(`${String(time).padStart(6)} ${who.padEnd(5)} ${text()}`);
    if (this.#lines.length > 2 * LINES_MAX) this.#lines.splice(0, LINES_MAX);
  }

  /** Equal for equal runs (I15). */
  get fingerprint(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return hex(this.#a) + hex(this.#b);
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-LINES_MAX);
  }
}
