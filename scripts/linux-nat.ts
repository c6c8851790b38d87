// A stock Linux behind NAT: its udhcpc is given an address and a name server, which knows it by its name, its wget fetches a file from this machine, and nobody else is reached. Its
// last line names the capture of it, for tshark.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-nat.ts

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const PORT = 8931
const FILE_BYTES = 4 * 1024 * 1024
const capture = join(tmpdir(), 'linux-nat.pcapng')
const allow = [{ to: 'host', protocol: 'tcp', ports: PORT }] as const

export default defineScenario({
  switches: { out: { uplink: { kind: 'nat', address: '10.0.0.254/24', allow }, capture } },
  vms: { box: { memory: '128 MiB', linux: {}, nics: [{ switch: 'out' }] } },
  async run({ vms, host, expect, log }) {
    const file = randomBytes(FILE_BYTES)
    const server = createServer((_request, response) => response.end(file))
    server.listen(PORT, '127.0.0.1')
    await once(server, 'listening')
    try {
      await vms.all.started()
      const sh = async (script: string): Promise<string> => (await vms.box.exec(script)).output
      expect(await sh('dhcp; ip addr show eth0'), 'the address it was given').toContain(
        '10.0.0.1/24',
      )
      expect(await sh('ip route'), 'its gateway').toContain('default via 10.0.0.254')
      const looked = await sh('nslookup box')
      expect(looked, 'what nslookup says of its own name').toContain('10.0.0.1')
      expect(looked, 'what nslookup says of its own name').toContain('box.guestyard.internal')
      const pinged = await sh('ip link set lo up; ping -c 1 -w 20 box')
      expect(pinged, 'a ping by name').toContain('1 packets received')
      const stranger = await sh('nslookup example.com 2>&1; true')
      expect(stranger, 'a name that is not listed').toContain('REFUSED')
      const fetched = await sh(`wget -q -O - http://10.0.0.254:${PORT}/ | sha256sum`)
      const sum = createHash('sha256').update(file).digest('hex')
      expect(fetched, 'SHA-256 of what it fetched').toContain(sum)
      const code = await sh('echo | nc 192.0.2.1 80; echo $?')
      expect(code, 'exit code of a connection to somebody who is not listed').toContain('1')
      const { switches } = await host.inspect()
      log(`the uplink: ${JSON.stringify(switches[0]?.uplink)}`)
      log(`the capture: ${capture}`)
    } finally {
      server.close()
    }
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('linux-nat')
