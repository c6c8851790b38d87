/** Properties put in place of others, and taken away again in the reverse order. */
export class Patches {
  readonly #undo: (() => void)[] = []

  /** Puts `value` in place of `target[key]`, whatever kind of property it is. */
  value(target: object, key: PropertyKey, value: unknown): void {
    this.#define(target, key, { value, writable: true, configurable: true, enumerable: true })
  }

  getter(target: object, key: PropertyKey, get: (this: never) => unknown): void {
    this.#define(target, key, { get, configurable: true, enumerable: true })
  }

  /** Runs when everything is taken away. */
  after(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Everything is as it was. */
  remove(): void {
    for (const undo of this.#undo.toReversed()) undo()
    this.#undo.length = 0
  }

  #define(target: object, key: PropertyKey, descriptor: PropertyDescriptor): void {
    const before = Object.getOwnPropertyDescriptor(target, key)
    // What a platform has fixed is derived from something that is not: Node's crypto.getRandomValues.
    if (before?.configurable === false) return
    Object.defineProperty(target, key, descriptor)
    this.#undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(target, key)
      else Object.defineProperty(target, key, before)
    })
  }
}
