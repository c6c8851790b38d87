/** What a Linux gets out of a disk, by its own `dd` past its cache and by its own clock: the same commands on every machine. */

/** Runs a script in a guest and resolves with what it printed. */
export type RunScript = (script: string) => Promise<string>

export interface DiskFigures {
  /** One request at a time. */
  readonly reads4KiBPerSecond: number
  readonly writes4KiBPerSecond: number
  readonly reads256KiBBytesPerSecond: number
  readonly writes256KiBBytesPerSecond: number
}

const SMALL_BYTES = 4096
const SMALL_COUNT = 4_000
const LARGE_BYTES = 256 * 1024
const LARGE_COUNT = 256

/** `disk`, as `/dev/sda`: at least 64 MiB, and overwritten. */
export async function measureDisk(run: RunScript, disk: string): Promise<DiskFigures> {
  const read = `if=${disk} of=/dev/null iflag=direct`
  const write = `if=/dev/zero of=${disk} oflag=direct`
  const large = LARGE_BYTES * LARGE_COUNT
  return {
    reads4KiBPerSecond: SMALL_COUNT / (await seconds(run, dd(read, SMALL_BYTES, SMALL_COUNT))),
    writes4KiBPerSecond: SMALL_COUNT / (await seconds(run, dd(write, SMALL_BYTES, SMALL_COUNT))),
    reads256KiBBytesPerSecond: large / (await seconds(run, dd(read, LARGE_BYTES, LARGE_COUNT))),
    writes256KiBBytesPerSecond: large / (await seconds(run, dd(write, LARGE_BYTES, LARGE_COUNT))),
  }
}

/** The disk whose driver says that it is of this maker: `ATA` on IDE, `Msft` over the bus. */
export async function findDisk(run: RunScript, maker: 'ATA' | 'Msft'): Promise<string> {
  const found = await run(
    `for d in /sys/block/sd?; do if grep -q ${maker} $d/device/vendor; then echo /dev/$(basename $d); fi; done`,
  )
  const [disk = ''] = found.trim().split('\n')
  if (disk === '') throw new Error(`the guest has no disk of ${maker}`)
  return disk
}

function dd(files: string, blockBytes: number, count: number): string {
  return `dd ${files} bs=${blockBytes} count=${count} 2>/dev/null`
}

/** By the guest's own clock, the second of two runs. */
export async function seconds(run: RunScript, command: string): Promise<number> {
  const said = await run(
    `${command}; read a _ </proc/uptime; ${command}; read b _ </proc/uptime; echo $a $b`,
  )
  const [from = 0, to = 0] = said.trim().split(' ').map(Number)
  if (!(to > from)) throw new Error(`the guest says that ${command} took no time`)
  return to - from
}
