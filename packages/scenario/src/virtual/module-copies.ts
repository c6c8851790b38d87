// A module's state belongs to whoever loaded it: each guest has a thread of its own in the other engine. Here all of them load into
// one, so every program gets copies of the files it imports by path. What it imports by a package's name is shared.

import * as nodeModule from 'node:module'

const KEY = 'yard'
const RELATIVE = /^(?:\.{0,2}\/|file:)/

/** One for a run. Dispose of it when the run is over. */
export class ModuleCopies {
  readonly #hooks: { deregister(): void } | null
  /** Copies so far. A program can see their numbers, so they are the run's own. */
  #copies = 0

  constructor() {
    // Missing before Node 22.15: then a program's own file is copied, and what it imports is not.
    const register = nodeModule.registerHooks as typeof nodeModule.registerHooks | undefined
    this.#hooks =
      register?.({
        resolve(specifier, context, next) {
          const found = next(specifier, context)
          const copy = copyOf(context.parentURL)
          if (copy === null || !RELATIVE.test(specifier) || !found.url.startsWith('file:')) {
            return found
          }
          return { ...found, url: withCopy(found.url, copy) }
        },
      }) ?? null
  }

  /** The URL of a fresh copy of a program: what it imports by path follows. */
  fresh(url: string): string {
    this.#copies += 1
    return withCopy(url, String(this.#copies))
  }

  dispose(): void {
    this.#hooks?.deregister()
  }
}

function copyOf(url: string | undefined): string | null {
  return url === undefined || !url.includes(KEY) ? null : new URL(url).searchParams.get(KEY)
}

function withCopy(url: string, copy: string): string {
  const copied = new URL(url)
  copied.searchParams.set(KEY, copy)
  return copied.href
}
