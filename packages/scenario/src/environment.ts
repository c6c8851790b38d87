/** The machine, runtime and source a figure was taken with; no figure is kept without it. */

import { execFile } from 'node:child_process'
import { arch, availableParallelism, cpus, hostname, platform, release, totalmem } from 'node:os'
import { promisify } from 'node:util'

export interface Environment {
  readonly machine: {
    readonly hostname: string
    readonly cpuModel: string
    readonly logicalProcessors: number
    readonly memoryBytes: number
    readonly platform: string
    readonly arch: string
    readonly osRelease: string
  }
  readonly node: string
  readonly v8: string
  /** The commit of the checkout in the working directory; `null` outside one. */
  readonly commit: string | null
  /** True when tracked files differ from that commit. */
  readonly modified: boolean
}

/** What the virtual engine's figures depend on: not the machine. */
export interface VirtualEnvironment {
  readonly engine: 'virtual'
  readonly seed: number
  /** Nanoseconds of virtual time by what is done. */
  readonly costs: Readonly<Record<string, number>>
}

export type RunEnvironment = Environment | VirtualEnvironment

/** Looks at this machine; asks `git` for the commit. Never fails: what is unknown is said so. */
export async function readEnvironment(): Promise<Environment> {
  const commit = await git(['rev-parse', 'HEAD'])
  const changes = commit === null ? null : await git(['status', '--porcelain', '-uno'])
  return {
    machine: {
      hostname: hostname(),
      cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
      logicalProcessors: availableParallelism(),
      memoryBytes: totalmem(),
      platform: platform(),
      arch: arch(),
      osRelease: release(),
    },
    node: process.version,
    v8: process.versions.v8,
    commit,
    modified: changes !== null && changes !== '',
  }
}

/** One line for people: processor, runtime, commit. */
export function describeEnvironment(environment: RunEnvironment): string {
  if ('engine' in environment) return `virtual engine · seed ${environment.seed}`
  const { machine, node, v8, commit, modified } = environment
  const source =
    commit === null ? 'no commit' : `${commit.slice(0, 10)}${modified ? ' (modified)' : ''}`
  return `${machine.cpuModel} × ${machine.logicalProcessors} · ${machine.platform} ${machine.arch} · Node ${node} (V8 ${v8}) · ${source}`
}

async function git(args: readonly string[]): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', [...args], { timeout: 5000 })
    return stdout.trim()
  } catch {
    return null //  no git, no checkout, or no commit in it yet
  }
}
