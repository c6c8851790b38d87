// Runs the real command in a process of its own and waits for its end.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const COMMAND = fileURLToPath(new URL('../bin/guestyard.js', import.meta.url))

export interface CommandEnd {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  /** Milliseconds from the interrupt to the end; `null` when there was none. */
  readonly endedAfterMs: number | null
}

/** The path of a scenario of the tests. */
export function scenario(name: string): string {
  return fileURLToPath(new URL(`scenarios/${name}`, import.meta.url))
}

/** Runs `guestyard` with arguments; sends SIGINT when its standard error first contains `interruptAt`. */
export function guestyard(args: readonly string[], interruptAt?: string): Promise<CommandEnd> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  let interruptedAt: number | null = null
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    if (interruptAt !== undefined && interruptedAt === null && stderr.includes(interruptAt)) {
      interruptedAt = performance.now()
      child.kill('SIGINT')
    }
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => {
      const endedAfterMs = interruptedAt === null ? null : performance.now() - interruptedAt
      resolve({ exitCode, stdout, stderr, endedAfterMs })
    })
  })
}
