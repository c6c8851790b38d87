// A Linux that is saved in the midst of reading its disk, and goes on in another partition: what it reads, sums up and prints is the same.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { defineScenario } from '@guestyard/scenario'

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const DISK_BYTES = 8 * 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'saved-linux-'))
const image = join(folder, 'disk.img')
const file = pathToFileURL(join(folder, 'box.saved'))

const content = new Uint8Array(DISK_BYTES)
for (let at = 0; at < DISK_BYTES; at += 1) content[at] = (at ^ (at >>> 11)) * 31
writeFileSync(image, content)
const sum = createHash('md5').update(content).digest('hex')

/** Runs on after the command that started it; each round is read from the disk, not from memory. */
const READER = `(
  for round in 1 2; do
    echo 3 > /proc/sys/vm/drop_caches
    md5sum /dev/sda
  done > /sums 2>&1
  echo done >> /sums
) < /dev/null > /dev/null 2>&1 &`

export default defineScenario({
  vms: { box: { linux: {}, memory: '128 MiB', disks: [{ raw: image, readOnly: true }] } },

  async run({ vms, expect, engine }) {
    const { box } = vms
    try {
      await box.started()
      await box.exec('cat /proc/partitions')
      const before = await box.exec('cat /proc/uptime; cat /proc/sys/kernel/random/boot_id')
      await box.exec(READER)
      await wait(40)
      const halfway = await box.exec('cat /sums')
      expect(halfway.output.includes('done'), 'the reader has ended before it is saved').toBe(false)
      await box.save(file)
      const exit = await box.exit
      expect(exit.reason, 'what saving did').toBe('saved')
      const ends: string[] = []
      // A minute that the machine knows nothing of, until its host tells it; of real time a shorter one.
      await wait(engine === 'virtual' ? 60_000 : 5_000)
      // From one file, twice: a saved machine may go on more than once.
      for (const times of [1, 2]) {
        await box.restore(file)
        let sums = ''
        for (let tries = 0; tries < 400 && !sums.includes('done'); tries += 1) {
          await wait(250)
          sums = (await box.exec('cat /sums')).output
        }
        ends.push(sums)
        const after = await box.exec('cat /proc/uptime; cat /proc/sys/kernel/random/boot_id')
        const [uptimeBefore, bootBefore] = before.output.split('\n')
        const [uptimeAfter, bootAfter] = after.output.split('\n')
        expect(bootAfter, `${times}: the boot that goes on`).toBe(bootBefore)
        expect(Number.parseFloat(uptimeAfter ?? ''), `${times}: its uptime`).toBeGreaterThan(
          Number.parseFloat(uptimeBefore ?? ''),
        )
        await wait(6_000)
        const clock = Number((await box.exec('date +%s')).output)
        expect(Math.abs(clock - Date.now() / 1_000), `${times}: its clock is off`).toBeLessThan(3)
        expect(await box.heartbeat(), `${times}: its heartbeat`).toBe('ok')
        if (times === 1) await box.turnOff()
      }
      const line = `${sum}  /dev/sda\n`
      for (const sums of ends) expect(sums, 'sums of the disk').toBe(`${line.repeat(2)}done\n`)

      await box.turnOff()
      const whole = readFileSync(file)
      writeFileSync(file, whole.subarray(0, whole.length - 1000))
      const refused = await box.restore(file).then(
        () => 'it started',
        (error: Error) => error.message,
      )
      expect(refused, 'a file that is cut short').toContain('cut short')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
})
