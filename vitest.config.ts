import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

import { defineConfig, type TestUserConfig } from 'vitest/config'

// Tests start hundreds of processes and threads of the same modules; each has this environment from the first.
process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache')

/**
 * The tests run on Node's own module loader, as everything else here does: the same resolution and type
 * stripping in a test, in the worker that it starts and in the program, and no rewriting of the hot paths.
 * Each project's files share processes (`isolate: false`): a file may not leave global state behind.
 */
const everywhere = {
  setupFiles: ['test/setup.ts'],
  pool: 'forks',
  isolate: false,
  maxWorkers: Math.max(2, availableParallelism()),
  testTimeout: 20_000,
  hookTimeout: 20_000,
  // `vi.mock` is off with the loader: fakes are handed in, not patched in.
  experimental: { viteModuleRunner: false, nodeLoader: false },
} satisfies TestUserConfig

export default defineConfig({
  test: {
    // One seed for the whole run, drawn here so that every process has it and a failure names it.
    env: { FC_SEED: process.env['FC_SEED'] ?? String(Math.trunc(Math.random() * 0x7fffffff)) },
    globalSetup: ['test/print-seed.ts'],
    projects: [
      { test: { ...everywhere, name: 'packages', include: ['packages/*/test/**/*.test.ts'] } },
      { test: { ...everywhere, name: 'across', include: ['test/**/*.test.ts'] } },
    ],
  },
})
