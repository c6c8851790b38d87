// Signs of life of a thread that runs in virtual time, for the thread that watches it.
//
//   word              written by           read by     meaning
//   0 loops           the run's thread     main        turns of its event loop
//   1, 2 turn         the run's thread     main        number of the engine's turn, low and high
//   3 actor           the run's thread     main        whose turn it is
//
// Nothing pairs with anything: a reader that finds no word changed for seconds knows that they belong together.

export const HEARTBEAT_BYTES = 16

const LOOPS = 0
const TURN_LOW = 1
const TURN_HIGH = 2
const ACTOR = 3

export class Heartbeat {
  readonly #words: Int32Array
  #loops = 0

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer)
  }

  loop(): void {
    this.#loops = (this.#loops + 1) | 0
    Atomics.store(this.#words, LOOPS, this.#loops)
  }

  turn(turn: number, actor: number): void {
    Atomics.store(this.#words, TURN_LOW, turn | 0)
    Atomics.store(this.#words, TURN_HIGH, Math.floor(turn / 2 ** 32))
    Atomics.store(this.#words, ACTOR, actor)
  }

  read(): { readonly loops: number; readonly turn: number; readonly actor: number } {
    const low = Atomics.load(this.#words, TURN_LOW) >>> 0
    return {
      loops: Atomics.load(this.#words, LOOPS),
      turn: Atomics.load(this.#words, TURN_HIGH) * 2 ** 32 + low,
      actor: Atomics.load(this.#words, ACTOR),
    }
  }
}
