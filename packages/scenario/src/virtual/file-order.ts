// Two files that a program reads at once come back in any order from the real world. Here they come back in the order in which
// they were asked for.

import { promises } from 'node:fs'

import type { Patches } from './patches.ts'

type AsyncFunction = (this: unknown, ...args: unknown[]) => Promise<unknown>

/** Functions of `fs/promises` whose answers are put in order, and the methods of the handles that `open` gives. */
const CALLS = [
  'access', 'appendFile', 'chmod', 'copyFile', 'cp', 'link', 'lstat', 'mkdir', 'mkdtemp', 'open', 'readFile',
  'readdir', 'readlink', 'realpath', 'rename', 'rm', 'rmdir', 'stat', 'statfs', 'symlink', 'truncate', 'unlink',
  'utimes', 'writeFile',
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
