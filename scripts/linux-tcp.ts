/**
 * TCP from one unmodified Linux to another: over the bus, NetVSC to NetVSC through the virtual switch; and between two plain machines, over the processor
 * package's own card and network. Real threads; the guest has to be fetched first.
 */

import { startHost } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  readEnvironment,
  type Progress,
} from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { seconds, type RunScript } from './linux-guest/disk.ts'
import { PlainMachine } from './peers/plain-machine/plain-machine.ts'
import { readScriptFlags } from './script-flags.ts'
import { runScript } from './script-run.ts'

const HELP = `TCP between two unmodified Linux guests, over the bus and over the processor package's emulated card.

  npx node scripts/linux-tcp.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --help        this text

One guest serves a file by HTTP, the other fetches it twice; the second time counts, by its own clock. Takes a minute and a half.

  npx guestyard guest fetch linux && npx node scripts/linux-tcp.ts
`

const MEMORY_BYTES = 128 * 2 ** 20
const MIB = 2 ** 20
const FILE_MIB = 32
/** An emulated card takes its time. */
const PLAIN_FILE_MIB = 4
const GOAL = 3

interface Figures {
  readonly bytesPerSecond: number
  readonly plainBytesPerSecond: number
  /** Of a ping, its average in milliseconds. */
  readonly pingMs: number
  readonly plainPingMs: number
}

await runScript(
  () => readScriptFlags({ json: 'text' }, HELP),
  async ({ json = null }, signal) => {
    const out = tableStream(json)
    const progress = createProgress(process.stderr)
    const environment = await readEnvironment()
    out.write(`${describeEnvironment(environment)}\n`)
    try {
      const figures = {
        ...(await measureOurs(signal, progress)),
        ...(await measurePlain(signal, progress)),
      }
      progress.end()
      out.write(`${report(figures)}\n`)
      if (json !== null) {
        const when = new Date().toISOString()
        writeJson(json, { script: 'linux-tcp', when, environment, figures })
      }
    } finally {
      progress.end()
    }
    return true
  },
)

async function measureOurs(
  signal: AbortSignal,
  progress: Progress,
): Promise<Pick<Figures, 'bytesPerSecond' | 'pingMs'>> {
  progress.update('two guests boot')
  const host = await startHost({ switches: { lan: {} } })
  try {
    const vms = ['server', 'client'].map((name) =>
      host.createVm({ name, memoryBytes: MEMORY_BYTES, linux: {}, nics: [{ switch: 'lan' }] }),
    )
    signal.addEventListener('abort', () => vms.forEach((vm) => void vm.turnOff()), { once: true })
    await Promise.all(vms.map((vm) => vm.start()))
    const [server, client] = vms.map((vm): RunScript => async (script) => {
      const { exitCode, output } = await vm.exec(script)
      const text = new TextDecoder().decode(output)
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${text}`)
      return text
    })
    progress.update(`${FILE_MIB} MiB over the bus`)
    const [bytesPerSecond, pingMs] = await measurePair(server!, client!, FILE_MIB)
    return { bytesPerSecond, pingMs }
  } finally {
    await host.close()
  }
}

async function measurePlain(
  signal: AbortSignal,
  progress: Progress,
): Promise<Pick<Figures, 'plainBytesPerSecond' | 'plainPingMs'>> {
  progress.update('two plain machines boot')
  const settings = { memoryBytes: MEMORY_BYTES, diskBytes: MIB, network: 0 }
  const [server, client] = await Promise.all([
    PlainMachine.boot(settings, signal),
    PlainMachine.boot(settings, signal),
  ])
  try {
    progress.update(`${PLAIN_FILE_MIB} MiB over the emulated card`)
    const [plainBytesPerSecond, plainPingMs] = await measurePair(
      (script) => server.run(script),
      (script) => client.run(script),
      PLAIN_FILE_MIB,
    )
    return { plainBytesPerSecond, plainPingMs }
  } finally {
    await Promise.all([server.end(), client.end()])
  }
}

async function measurePair(
  server: RunScript,
  client: RunScript,
  mib: number,
): Promise<[bytesPerSecond: number, pingMs: number]> {
  const up = (address: string): string => `ip addr add ${address}/24 dev eth0; ip link set eth0 up`
  await server(
    `${up('10.0.0.1')}; mkdir -p /tmp/www && dd if=/dev/zero of=/tmp/www/file bs=1M count=${mib} 2>/dev/null && httpd -p 80 -h /tmp/www`,
  )
  await client(up('10.0.0.2'))
  const said = await client('ping -c 20 -i 0.1 10.0.0.1')
  const pingMs = Number(/min\/avg\/max = [\d.]+\/([\d.]+)\//.exec(said)?.[1])
  const took = await seconds(client, 'wget -q -O /dev/null http://10.0.0.1/file')
  return [(mib * MIB) / took, pingMs]
}

function report(figures: Figures): string {
  const ratio = figures.bytesPerSecond / figures.plainBytesPerSecond
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB/s`
  const ms = (value: number): string => `${value.toFixed(2)} ms`
  return [
    '',
    ...alignTable(
      ['Linux to Linux', 'over the bus', 'emulated card', 'ratio', 'goal'],
      [
        [
          'TCP',
          mib(figures.bytesPerSecond),
          mib(figures.plainBytesPerSecond),
          `${ratio.toFixed(1)}x`,
          `at least ${GOAL}: ${ratio >= GOAL ? 'held' : 'MISSED'}`,
        ],
        ['ping', ms(figures.pingMs), ms(figures.plainPingMs), '', ''],
      ],
    ),
  ].join('\n')
}
