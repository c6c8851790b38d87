#!/usr/bin/env node
// The command's front door, in JavaScript that any Node can read. Installed from a package it loads dist/.
// In a checkout it loads the TypeScript source, and a Node too old to run that hands over to the pinned one.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

if (here.split(sep).includes('node_modules')) {
  if (isAtLeast(22, 13)) await import('../dist/main.js')
  else refuse('guestyard needs Node 22.13 or later')
} else if (process.features.typescript) {
  await import('../src/main.ts')
} else {
  const pinned = pinnedNode(here)
  if (pinned) handOver(pinned)
  else refuse('guestyard needs Node 22.18 or later here, or the one that `npm test` installs')
}

/** @param {number} major @param {number} minor */
function isAtLeast(major, minor) {
  const [runningMajor = 0, runningMinor = 0] = process.versions.node.split('.').map(Number)
  return runningMajor > major || (runningMajor === major && runningMinor >= minor)
}

/** @param {string} reason */
function refuse(reason) {
  process.stderr.write(`${reason}; this is Node ${process.versions.node}\n`)
  process.exitCode = 2
}

/** The nearest node_modules/.bin/node above a directory. @param {string} directory */
function pinnedNode(directory) {
  for (let at = directory; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', '.bin', 'node')
    if (existsSync(candidate)) return candidate
    if (at === dirname(at)) return undefined
  }
}

/** Becomes the same command under another Node: its streams, its signals, its end. @param {string} node */
function handOver(node) {
  // In a group of its own no signal reaches the child but through this process: a terminal's Ctrl-C comes to it once, not twice.
  const detached = process.platform !== 'win32'
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit', detached })
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => detached && child.kill(signal))
  }
  child.on('error', (error) => refuse(`${node} does not start (${error.message})`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exitCode = code ?? 1
    else {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  })
}
