// TCP of a script guest, judged by Linux's at the other end: HTTP served to it and fetched from it, then files both ways over a cable that loses,
// doubles and delays frames. What arrives is compared by its SHA-256.
//
//   guestyard guest fetch linux
//   guestyard run scripts/guest-http.ts

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const FILE_BYTES = 4 * 1024 * 1024
const LOSSY_BYTES = 512 * 1024
const BLOCK_BYTES = 64 * 1024
const nics = [{ switch: 'lan' }]

export default defineScenario({
  vms: {
    web: {
      memory: '64 MiB',
      guest: './guests/web-server.ts',
      args: { address: '10.0.0.1/24', bytes: FILE_BYTES },
      nics,
    },
    bad: {
      memory: '64 MiB',
      guest: './guests/lossy-host.ts',
      args: { address: '10.0.0.3/24', bytes: LOSSY_BYTES, seed: 1 },
      nics,
    },
    box: { memory: '128 MiB', linux: {}, nics },
  },
  async run({ vms, expect, log }) {
    const { web, bad, box } = vms
    const sh = async (script: string): Promise<string> => {
      const { exitCode, output } = await box.exec(script)
      const text = output.trim()
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${text}`)
      return text
    }
    await vms.all.started()
    await sh('ip link set eth0 up && ip addr add 10.0.0.2/24 dev eth0')
    expect(await sh('ping -c 3 -w 30 10.0.0.1'), 'what ping says').toContain('3 packets received')
    expect(typeof (await web.call('ping', '10.0.0.2')), 'an answer of Linux’s').toBe('number')

    const served = String(await web.call('serve', null))
    expect(await sh(fetchFrom('10.0.0.1')), 'SHA-256 of what Linux fetched').toContain(served)
    log(`a script guest served ${FILE_BYTES} bytes to Linux, the same at both ends`)

    const made = await sh(
      `mkdir /tmp/www && dd if=/dev/urandom of=/tmp/www/file bs=${BLOCK_BYTES} count=${FILE_BYTES / BLOCK_BYTES} 2>/dev/null; httpd -p 80 -h /tmp/www; sha256sum </tmp/www/file`,
    )
    const fetched = String(await web.call('fetch', 'http://10.0.0.2/file'))
    expect(made, 'SHA-256 of what Linux served').toContain(fetched)
    log(`Linux served as many to a script guest, the same at both ends`)
    log(`dropped by the script guest: ${JSON.stringify(await web.call('drops', null))}`)

    const sum = String(await bad.call('sum', null))
    expect(await sh(fetchFrom('10.0.0.3')), 'SHA-256 over the bad cable').toContain(sum)
    const sent = await sh(
      `head -c ${LOSSY_BYTES} /tmp/www/file >/tmp/part; sha256sum </tmp/part | cut -d' ' -f1; nc 10.0.0.3 9 </tmp/part`,
    )
    const [own, theirs] = sent.split('\n')
    expect(theirs ?? 'nothing', 'SHA-256 of what Linux sent over it').toBe(own ?? '')
    log(`${LOSSY_BYTES} bytes each way over the bad cable, the same at both ends`)
    log(`it did to what was sent: ${JSON.stringify(await bad.call('harm', null))}`)
    await vms.all.stop()
  },
})

function fetchFrom(address: string): string {
  return `wget -q -O - http://${address}/file | sha256sum`
}

if (import.meta.main) sayHowToRun('guest-http')
