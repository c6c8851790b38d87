// Two script guests on a switch: one serves a file over HTTP, the other fetches it and compares its SHA-256. In either engine.

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const FILE_BYTES = 1024 * 1024
const nics = [{ switch: 'lan' }]
const guest = './guests/web-server.ts'

export default defineScenario({
  vms: {
    server: { memory: '64 MiB', guest, args: { address: '10.0.0.1/24', bytes: FILE_BYTES }, nics },
    client: { memory: '64 MiB', guest, args: { address: '10.0.0.2/24', bytes: 0 }, nics },
  },
  async run({ vms, expect, log }) {
    const { server, client } = vms
    await vms.all.started()
    const served = String(await server.call('serve', null))
    expect(await client.call('ping', '10.0.0.1'), 'milliseconds of a ping').toBeLessThan(1_000)
    const fetched = String(await client.call('fetch', 'http://10.0.0.1/file'))
    expect(fetched, 'SHA-256 of what was fetched').toBe(served)
    log(`${FILE_BYTES} bytes over HTTP, the same at both ends`)
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('guest-sockets')
