// Two files that a program reads at once come back in any order from the real world. Here they come back in the order in which
// they were asked for.

import fs, { promises } from 'node:fs'

import type { Patches } from './patches.ts'

type CallbackFunction = (this: unknown, ...args: unknown[]) => unknown
type AsyncFunction = (this: unknown, ...args: unknown[]) => Promise<unknown>

/** Functions of `fs` and `fs/promises` whose answers are put in order, and the methods of the handles that `open` gives. */
const CALLS = [
  'access', 'appendFile', 'chmod', 'chown', 'copyFile', 'cp', 'lchown', 'link', 'lstat', 'lutimes', 'mkdir', 'mkdtemp',
  'open', 'opendir', 'readFile', 'readdir', 'readlink', 'realpath', 'rename', 'rm', 'rmdir', 'stat', 'statfs', 'symlink',
  'truncate', 'unlink', 'utimes', 'writeFile',
] // prettier-ignore
/** What `fs` has besides, with a callback. */
const CALLBACK_CALLS = [
  'close', 'exists', 'fchmod', 'fchown', 'fdatasync', 'fstat', 'fsync', 'ftruncate', 'futimes', 'read', 'readv', 'write',
  'writev',
] // prettier-ignore
const HANDLE_CALLS = [
  'appendFile',
  'chmod',
  'close',
  'datasync',
  'read',
  'readFile',
  'readv',
  'stat',
  'sync',
  'truncate',
  'utimes',
  'write',
  'writeFile',
  'writev',
]

export function orderFileCalls(patches: Patches): void {
  let last: Promise<unknown> = Promise.resolve()
  let seenHandle: object | null = null
  const inOrder = (call: AsyncFunction): AsyncFunction =>
    function ordered(...args) {
      const answer = call.apply(this, args)
      const before = last
      const mine = (async () => {
        await before
        return answer
      })()
      last = mine.catch(ignore)
      // Who asked hears of a failure in its turn.
      answer.catch(ignore)
      return mine
    }
  const patch = (target: object, names: readonly string[]): void => {
    for (const name of names) {
      const call: unknown = Reflect.get(target, name)
      if (typeof call === 'function') patches.value(target, name, inOrder(call as AsyncFunction))
    }
  }
  patch(promises, CALLS)
  const calledInOrder = (call: CallbackFunction): CallbackFunction =>
    function ordered(...args) {
      const callback = args.at(-1)
      if (typeof callback !== 'function') return call.apply(this, args)
      const before = last
      const { promise, resolve } = Promise.withResolvers<void>()
      const inTurn = async (...answer: readonly unknown[]): Promise<void> => {
        await before
        resolve()
        // What it throws is nobody's to catch, as ever.
        Reflect.apply(callback, undefined, answer)
      }
      // What is wrong with the arguments is thrown here, and nothing was asked.
      const result = call.apply(this, [...args.slice(0, -1), inTurn])
      last = promise
      return result
    }
  for (const name of [...CALLS, ...CALLBACK_CALLS]) {
    const call: unknown = Reflect.get(fs, name)
    if (typeof call !== 'function') continue
    const ordered = calledInOrder(call as CallbackFunction)
    // What `promisify` finds there.
    for (const key of Reflect.ownKeys(call)) {
      if (key in ordered) continue
      Object.defineProperty(ordered, key, Object.getOwnPropertyDescriptor(call, key)!)
    }
    patches.value(fs, name, ordered)
  }
  const open = promises.open.bind(promises) as unknown as AsyncFunction
  patches.value(promises, 'open', async (...args: readonly unknown[]) => {
    const handle = (await open(...args)) as object
    const prototype = Object.getPrototypeOf(handle) as object
    if (seenHandle !== prototype) patch(prototype, HANDLE_CALLS)
    seenHandle = prototype
    return handle
  })
}

function ignore(): void {}
